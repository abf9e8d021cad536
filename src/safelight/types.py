"""The nouns: frames, evidence, verdicts, and the engine's events and commands.

No logic lives here beyond refusing values that cannot be what they claim to be.
Times are integers in nanoseconds. ``*_ns`` fields called ``now_ns`` or ``arrived_ns`` are
on a monotonic clock that the shell owns; ``pts_ns`` fields are on the stream's own clock.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from fractions import Fraction
from typing import Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from safelight.errors import NotMintedError

NS_PER_S: Final = 1_000_000_000
NS_PER_MS: Final = 1_000_000

Plane = NDArray[np.uint8]

# The keys of the two mints. Only core/release.py and bundle/trust.py may import them
# (tests/test_architecture.py), so absence of a verdict or of a check cannot be papered
# over by building the result by hand.
RELEASE_MINT: Final = object()
TRUST_MINT: Final = object()


# --- pictures and sound -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """How planes are to be read. Width and height are even, in pixels, at least 16.

    ``matrix``, ``primaries`` and ``transfer`` are ITU-T H.273 code points (2 = unspecified).
    """

    width: int
    height: int
    full_range: bool = False
    matrix: int = 2
    primaries: int = 2
    transfer: int = 2
    sample_aspect: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        if self.width < 16 or self.height < 16 or self.width % 2 or self.height % 2:
            raise ValueError(
                f"a picture has even sides of at least 16, not {self.width}x{self.height}"
            )


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Picture:
    """One upright 8-bit I420 picture, owned by whoever holds it.

    ``y`` is uint8 ``(height, width)``; ``u`` and ``v`` are uint8 ``(height/2, width/2)``.
    The arrays are made read-only here, and a view on another array's memory is copied: what
    was judged and what leaves are the same bytes. Its ``repr`` shows no pixel: it may end in
    somebody's log or crash report.
    """

    format: PictureFormat
    y: Plane = field(repr=False)
    u: Plane = field(repr=False)
    v: Plane = field(repr=False)

    def __post_init__(self) -> None:
        full = (self.format.height, self.format.width)
        half = (self.format.height // 2, self.format.width // 2)
        for name, shape in (("y", full), ("u", half), ("v", half)):
            plane: Plane = getattr(self, name)
            if plane.shape != shape or plane.dtype != np.uint8:
                raise ValueError(f"a plane is {plane.dtype}{plane.shape}, expected uint8{shape}")
            if not plane.flags.owndata or not plane.flags.c_contiguous:
                # A view on somebody's buffer could change between judgement and release.
                plane = plane.copy()
                object.__setattr__(self, name, plane)
            plane.flags.writeable = False


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """A chunk of sound: ``samples`` is float32 ``(channels, n)`` in [-1, 1], ``rate`` in Hz."""

    rate: int
    samples: NDArray[np.float32] = field(repr=False)

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or self.samples.dtype != np.float32 or self.rate <= 0:
            raise ValueError("sound is float32 (channels, n) at a positive rate")
        self.samples.flags.writeable = False


class Gap(enum.Enum):
    """What broke the flow of a stream just before a frame."""

    TIME = "time"  # pts went backwards or jumped more than a second
    FORMAT = "format"  # size, range or aspect changed
    SOURCE = "source"  # a publisher came back, a device was reopened
    SUSPEND = "suspend"  # the machine slept


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture or one chunk of sound. Only sources make it.

    ``seq`` counts every frame of a source, pictures and sound together, from 0. ``pts`` is
    in units of ``time_base`` seconds. ``gap`` says that the flow broke just before it.
    """

    seq: int
    pts: int
    time_base: Fraction
    arrived_ns: int
    content: Picture | Sound
    gap: Gap | None = None

    def __post_init__(self) -> None:
        # NaN is neither late nor too far apart, and a fixed-width integer wraps around.
        numbers = (self.seq, self.pts, self.arrived_ns)
        if any(type(number) is not int for number in numbers):
            raise ValueError("numbers and times of a frame are whole, and Python's own int")
        if abs(self.pts) >= 1 << 63 or not 0 < self.time_base < 1 << 32:
            raise ValueError("a time stamp that no container can hold")

    @property
    def pts_ns(self) -> int:
        """Presentation time in nanoseconds of stream time, rounded down."""
        return self.pts * self.time_base.numerator * NS_PER_S // self.time_base.denominator


@dataclass(frozen=True, slots=True)
class Token:
    """Names one frame of one stream. The nonce is a keyed hash: an answer cannot be guessed."""

    stream: int
    seq: int
    nonce: int


# --- evidence and verdicts ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scores:
    """What the detectors said of one picture.

    ``sexual``: sexual content score in [0, 1], the largest over ``views``. ``minor``: the
    P(<18) estimate in [0, 1], the largest over the faces found; None when no face was found
    or the age detector was not run, which is missing evidence and never means "adult".
    ``views``: names of the views that were run. ``every``: the sexual content score over those
    of them alone through which every judged frame is looked at; None if that was not told, and
    then ``sexual`` stands for it. The ``repr`` shows no score.
    """

    sexual: float = field(repr=False)
    minor: float | None = field(repr=False)
    views: tuple[str, ...]
    every: float | None = field(default=None, repr=False)


class AbsentReason(enum.Enum):
    """Why there is no evidence."""

    LATE = "late"
    NOT_A_NUMBER = "not_a_number"
    OUT_OF_RANGE = "out_of_range"
    MISSING_VIEW = "missing_view"
    CONTRADICTED = "contradicted"
    WITHHELD = "withheld"  # not for those who see a frame leave
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Absent:
    """No evidence. It never permits anything."""

    reason: AbsentReason


Evidence = Scores | Absent


class Action(enum.Enum):
    """What policy says of a frame."""

    RELEASE = "release"
    COVER = "cover"
    INTERRUPT = "interrupt"


class State(enum.Enum):
    """The state of a stream."""

    PENDING = "pending"
    LIVE = "live"
    COVERED = "covered"
    INTERRUPTED = "interrupted"


class Reason(enum.Enum):
    """Why a stream is in its state; the only reasons that reports and events carry."""

    STARTING = "starting"
    CLEAR = "clear"
    SEXUAL_CONTENT = "sexual_content"
    NO_VERDICT = "no_verdict"
    FAULT = "fault"
    OVERLOAD = "overload"
    DISCONTINUITY = "discontinuity"
    USER_RESUME = "user_resume"
    OTHER_DIRECTION = "other_direction"  # of the same call: it was interrupted
    END = "end"


class Binding(enum.Enum):
    """How a released picture is tied to what was judged."""

    JUDGED = "judged"
    STILL = "still"
    BRACKETED = "bracketed"


class Direction(enum.Enum):
    """Whose camera it is: this device's (outgoing) or somebody else's (incoming)."""

    OUTGOING = "outgoing"
    INCOMING = "incoming"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to one frame, and on what it rests. No field has a default.

    ``rests_on`` pairs the tokens of judged frames with their evidence: the frame itself
    (JUDGED), one earlier frame (STILL), one on each side (BRACKETED), empty when not
    released. ``expires_ns``: past this moment of the monotonic clock a RELEASE is void.
    """

    token: Token
    action: Action
    reason: Reason
    binding: Binding | None
    rests_on: tuple[tuple[Token, Evidence], ...]
    expires_ns: int


# --- the engine's events ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StreamStarted:
    now_ns: int


@dataclass(frozen=True, slots=True)
class PictureArrived:
    now_ns: int
    frame: Frame


@dataclass(frozen=True, slots=True)
class AudioArrived:
    now_ns: int
    frame: Frame


@dataclass(frozen=True, slots=True)
class EvidenceReady:
    now_ns: int
    token: Token
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Tick:
    now_ns: int


@dataclass(frozen=True, slots=True)
class Discontinuity:
    now_ns: int
    kind: Gap


@dataclass(frozen=True, slots=True)
class BundleChanged:
    """Another bundle judges from now on: what is outstanding counts no more."""

    now_ns: int


class FaultKind(enum.Enum):
    """What broke."""

    JUDGE = "judge"
    RING = "ring"
    ENGINE = "engine"
    SOURCE = "source"
    SINK = "sink"


@dataclass(frozen=True, slots=True)
class Fault:
    now_ns: int
    kind: FaultKind


@dataclass(frozen=True, slots=True)
class Resume:
    now_ns: int


@dataclass(frozen=True, slots=True)
class Interrupt:
    """The other direction of this call was interrupted. It can only restrict: no cool-down
    starts here, but none that runs there (``level`` 0…4, ``until_ns``) can be left here."""

    now_ns: int
    level: int
    until_ns: int


@dataclass(frozen=True, slots=True)
class SourceEnded:
    now_ns: int


Event = (
    StreamStarted
    | PictureArrived
    | AudioArrived
    | EvidenceReady
    | Tick
    | Discontinuity
    | BundleChanged
    | Fault
    | Resume
    | Interrupt
    | SourceEnded
)


# --- the engine's commands ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ask:
    """Have the judge look at this picture through these views."""

    token: Token
    views: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Emit:
    """Let a frame leave as the verdict says: itself, or a card in its place."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class EmitCard:
    """Let a card leave that stands for no frame (nothing arrives); ``pts_ns`` stream time."""

    pts_ns: int
    action: Action


@dataclass(frozen=True, slots=True)
class Mute:
    """Let a chunk of sound leave with these spans of stream time, [from, to) ns, silenced.

    No spans: it leaves as it came.
    """

    token: Token
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Drop:
    """Forget a frame: it leaves in no form."""

    token: Token
    reason: Reason


@dataclass(frozen=True, slots=True)
class StateChanged:
    """What ``Record`` carries when the state changes, in stream order."""

    state: State
    reason: Reason
    pts_ns: int
    now_ns: int


@dataclass(frozen=True, slots=True)
class FaultNoted:
    """What ``Record`` carries when something broke or an answer could not be counted."""

    what: str
    now_ns: int


@dataclass(frozen=True, slots=True)
class CoolDownStarted:
    """What ``Record`` carries when an interruption starts a cool-down of ``level`` 1…4."""

    level: int
    until_ns: int


@dataclass(frozen=True, slots=True)
class ResumeRefused:
    """What ``Record`` carries when a resume came before the cool-down was over."""

    until_ns: int


@dataclass(frozen=True, slots=True)
class Record:
    note: StateChanged | FaultNoted | CoolDownStarted | ResumeRefused


class Outcome(enum.Enum):
    """How a stream ended."""

    ENDED = "ended"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Stop:
    outcome: Outcome


Command = Ask | Emit | EmitCard | Mute | Drop | Record | Stop


# --- what may leave, what may judge -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CardText:
    """What a card says: a headline, then further lines, and a stamp ("TEST") or None."""

    message_id: str
    headline: str
    lines: tuple[str, ...] = ()
    stamp: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SafeFrame:
    """The one thing a sink accepts. Minted only in core/release.py.

    ``verdict`` is None for sound and for a card that stands for no frame; its scores are
    withheld, so that a sink learns what frames it rests on and no more. ``released`` is
    True when ``content`` is the very picture or sound that came in. The mint is an
    ``InitVar``, so ``dataclasses.replace`` and pickling cannot make another.
    """

    pts: int
    time_base: Fraction
    content: Picture | Sound
    verdict: Verdict | None
    released: bool
    mint: InitVar[object]

    def __post_init__(self, mint: object) -> None:
        if mint is not RELEASE_MINT:
            raise NotMintedError("SafeFrame", "core/release.py")

    def __reduce__(self) -> str:
        raise NotMintedError("SafeFrame", "core/release.py")

    def __getstate__(self) -> NoReturn:
        raise NotMintedError("SafeFrame", "core/release.py")

    def __setstate__(self, _: object) -> NoReturn:
        raise NotMintedError("SafeFrame", "core/release.py")

    @property
    def pts_ns(self) -> int:
        """Presentation time in nanoseconds of stream time, rounded down."""
        return self.pts * self.time_base.numerator * NS_PER_S // self.time_base.denominator


@dataclass(frozen=True, slots=True)
class ViewSpec:
    """One picture that a detector sees. ``kind`` names a recipe in detect/views.py."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """One detector of a bundle. ``kind`` names a class in detect/; ``files`` role -> file name."""

    kind: str
    files: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SelfTest:
    """A picture (a PNG among the bundle's files) and the score range it must get."""

    file: str
    views: tuple[str, ...]
    sexual_min: float
    sexual_max: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Score -> log-likelihood ratio, piecewise linear, as fixed-point integers.

    ``points``: (score in thousandths, ratio in thousandths of a nat), scores rising from 0
    to 1000, ratios never falling. ``status``: "uncalibrated prior" or "measured".
    """

    status: str
    points: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class VerifiedBundle:
    """A bundle every file of which was checked. Minted only in bundle/trust.py.

    ``files`` gives the checked bytes themselves, or raises BundleError: those that lie on disk
    (bundle/pinned.py) are read anew each time, and checked anew. Whoever needs one twice keeps it.
    ``manifest`` holds the manifest's own bytes, and ``sha256`` their digest: it pins every file.
    """

    id: str
    version: int
    purpose: str
    sha256: str
    counts_people: bool
    every: tuple[ViewSpec, ...]
    in_turn: tuple[ViewSpec, ...]
    detectors: tuple[DetectorSpec, ...]
    calibration: Calibration
    self_tests: tuple[SelfTest, ...]
    age_from: float
    mint: InitVar[object]
    manifest: bytes = field(repr=False)
    files: Mapping[str, bytes] = field(repr=False)

    def __post_init__(self, mint: object) -> None:
        if mint is not TRUST_MINT:
            raise NotMintedError("VerifiedBundle", "bundle/trust.py")

    def __reduce__(self) -> str:
        raise NotMintedError("VerifiedBundle", "bundle/trust.py")

    def __getstate__(self) -> NoReturn:
        raise NotMintedError("VerifiedBundle", "bundle/trust.py")

    def __setstate__(self, _: object) -> NoReturn:
        raise NotMintedError("VerifiedBundle", "bundle/trust.py")

    @property
    def is_test(self) -> bool:
        """A stand-in bundle: stamps TEST, loads only when asked for as such."""
        return self.purpose == "test"
