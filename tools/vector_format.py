"""The form of an engine dialogue in spec/vectors/engine: JSON in, events and commands out.

spec/README.md says what each part means to an implementer; this is how ours reads and
writes it. Every field is there in every file: nothing has a default.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from safelight.core.engine import Engine
from safelight.core.gate import Likeness
from safelight.core.held import Views
from safelight.core.limits import Limits
from safelight.core.policy import Policy
from safelight.core.stream import NEVER_NS, CoolDown
from safelight.testing.gates import ScriptedGate, name_of, symbol
from safelight.types import (
    Absent,
    AbsentReason,
    Ask,
    AudioArrived,
    BundleChanged,
    Calibration,
    Command,
    CoolDownStarted,
    Discontinuity,
    Drop,
    Emit,
    EmitCard,
    Event,
    Evidence,
    EvidenceReady,
    Fault,
    FaultKind,
    FaultNoted,
    Frame,
    Gap,
    Interrupt,
    Mute,
    Picture,
    PictureArrived,
    PictureFormat,
    Record,
    Resume,
    ResumeRefused,
    Scores,
    Sound,
    SourceEnded,
    StateChanged,
    Stop,
    StreamStarted,
    Tick,
    Token,
)

Nonce = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Number = int | float | Literal["nan", "inf", "-inf"]


class Part(BaseModel):
    """Strict, and without a key that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenPart(Part):
    """A token; the stream is the file's."""

    seq: int
    nonce: Nonce


class EvidencePart(Part):
    """Scores, or why there are none."""

    absent: AbsentReason | None
    sexual: Number | None
    minor: Number | None
    views: list[str]
    every: Number | None = None


class FramePart(Part):
    """A picture by its symbol, or a chunk of sound by its length."""

    seq: int
    pts: int
    time_base: tuple[int, int]
    arrived_ns: int
    gap: Gap | None
    picture: str | None
    width: int
    height: int
    sound_rate: int
    sound_samples: int


class EventPart(Part):
    """An event. What its type does not have is null."""

    type: str
    now_ns: int
    frame: FramePart | None = None
    token: TokenPart | None = None
    evidence: EvidencePart | None = None
    kind: str | None = None
    level: int | None = None
    until_ns: int | None = None


class StepPart(Part):
    """An event, and all the commands that come back, in order."""

    event: EventPart
    commands: list[dict[str, Any]]


class LikenessPart(Part):
    """How alike two symbols are."""

    a: str
    b: str
    still: bool
    changed_permille: int

    def likeness(self) -> Likeness:
        """Return what a gate says of the two: nothing of them is changed strongly."""
        share = self.changed_permille
        return Likeness(self.still, share, share, share, share, 0)


class CoolDownPart(Part):
    """Where earlier interruptions left this user."""

    level: int
    until_ns: int


class Dialogue(Part):
    """One file."""

    form: Literal["safelight.engine-dialogue/1"] = Field(alias="schema")
    name: str
    about: str
    limits: dict[str, int | bool | list[int]]
    policy: dict[str, str | int | float | bool]
    calibration: list[tuple[int, int]]
    every: list[str]
    in_turn: list[str]
    secret_hex: str
    stream: int
    cool_down: CoolDownPart
    likeness: list[LikenessPart]
    steps: list[StepPart]

    def engine(self) -> Engine:
        """Return an engine as the dialogue begins with."""
        limits: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in self.limits.items()
        }
        table = {(pair.a, pair.b): pair.likeness() for pair in self.likeness}
        policy: dict[str, Any] = dict(self.policy)
        return Engine(
            Limits(**limits),
            Policy(**policy),
            Calibration("measured", tuple(self.calibration)),
            Views(tuple(self.every), tuple(self.in_turn)),
            ScriptedGate(table),
            bytes.fromhex(self.secret_hex),
            self.stream,
            CoolDown(self.cool_down.level, self.cool_down.until_ns),
        )


# --- events ---------------------------------------------------------------------------------

PLAIN: Final[dict[str, Callable[[int], Event]]] = {
    "stream_started": StreamStarted,
    "tick": Tick,
    "bundle_changed": BundleChanged,
    "resume": Resume,
    "source_ended": SourceEnded,
}
PLAIN_NAMES: Final = {kind: name for name, kind in PLAIN.items()}


def write_event(event: Event) -> dict[str, Any]:
    """Return an event as JSON."""
    out: dict[str, Any] = {"now_ns": event.now_ns}
    match event:
        case PictureArrived(_, frame):
            return {"type": "picture_arrived", **out, "frame": _write_frame(frame)}
        case AudioArrived(_, frame):
            return {"type": "audio_arrived", **out, "frame": _write_frame(frame)}
        case EvidenceReady(_, token, evidence):
            said = _write_evidence(evidence)
            return {"type": "evidence_ready", **out, "token": _token(token), "evidence": said}
        case Discontinuity(_, kind):
            return {"type": "discontinuity", **out, "kind": kind.value}
        case Fault(_, fault):
            return {"type": "fault", **out, "kind": fault.value}
        case Interrupt(_, level, until_ns):
            return {"type": "interrupt", **out, "level": level, "until_ns": until_ns}
    return {"type": PLAIN_NAMES[type(event)], **out}


def read_event(part: EventPart, stream: int) -> Event:
    """Return the event of a step.

    Raises:
        ValueError: its parts do not make one.
    """
    now = part.now_ns
    match part:
        case EventPart(type="picture_arrived", frame=FramePart() as frame):
            return PictureArrived(now, _read_frame(frame))
        case EventPart(type="audio_arrived", frame=FramePart() as frame):
            return AudioArrived(now, _read_frame(frame))
        case EventPart(
            type="evidence_ready", token=TokenPart() as token, evidence=EvidencePart() as said
        ):
            made = Token(stream, token.seq, int(token.nonce, 16))
            return EvidenceReady(now, made, _read_evidence(said))
        case EventPart(type="discontinuity", kind=str() as kind):
            return Discontinuity(now, Gap(kind))
        case EventPart(type="fault", kind=str() as kind):
            return Fault(now, FaultKind(kind))
        case EventPart(type="interrupt", level=int() as level, until_ns=int() as until_ns):
            return Interrupt(now, level, until_ns)
        case EventPart(type=name) if name in PLAIN:
            return PLAIN[name](now)
    raise ValueError(f"no event: {part}")


def _write_frame(frame: Frame) -> dict[str, Any]:
    content = frame.content
    shown = isinstance(content, Picture)
    return {
        "seq": frame.seq,
        "pts": frame.pts,
        "time_base": [frame.time_base.numerator, frame.time_base.denominator],
        "arrived_ns": frame.arrived_ns,
        "gap": frame.gap.value if frame.gap else None,
        "picture": name_of(content) if isinstance(content, Picture) else None,
        "width": content.format.width if isinstance(content, Picture) else 0,
        "height": content.format.height if isinstance(content, Picture) else 0,
        "sound_rate": 0 if shown else content.rate,  # type: ignore[union-attr]
        "sound_samples": 0 if shown else content.samples.shape[1],  # type: ignore[union-attr]
    }


def _read_frame(part: FramePart) -> Frame:
    content: Picture | Sound
    if part.picture is not None:
        content = symbol(part.picture, PictureFormat(part.width, part.height))
    else:
        content = Sound(part.sound_rate, np.zeros((1, part.sound_samples), np.float32))
    return Frame(part.seq, part.pts, Fraction(*part.time_base), part.arrived_ns, content, part.gap)


def _number(value: float | None) -> Number | None:
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


def _write_evidence(evidence: Evidence) -> dict[str, Any]:
    if isinstance(evidence, Absent):
        return {"absent": evidence.reason.value, "sexual": None, "minor": None, "views": []}
    part = {
        "absent": None,
        "sexual": _number(evidence.sexual),
        "minor": _number(evidence.minor),
        "views": list(evidence.views),
    }
    return part if evidence.every is None else {**part, "every": _number(evidence.every)}


def _read_evidence(part: EvidencePart) -> Evidence:
    if part.absent is not None:
        return Absent(part.absent)
    if part.sexual is None:
        raise ValueError("evidence that is there has a score")
    minor = None if part.minor is None else _plain(part.minor)
    every = None if part.every is None else _plain(part.every)
    return Scores(_plain(part.sexual), minor, tuple(part.views), every)


def _plain(number: Number) -> float:
    return float(number) if isinstance(number, str) else number


# --- commands -------------------------------------------------------------------------------


def _token(token: Token) -> dict[str, Any]:
    return {"seq": token.seq, "nonce": f"{token.nonce:016x}"}


def write_command(command: Command) -> dict[str, Any]:
    """Return a command as JSON."""
    match command:
        case Ask(token, views):
            return {"type": "ask", "token": _token(token), "views": list(views)}
        case Emit(verdict):
            expires = verdict.expires_ns
            return {
                "type": "emit",
                "token": _token(verdict.token),
                "action": verdict.action.value,
                "reason": verdict.reason.value,
                "binding": verdict.binding.value if verdict.binding else None,
                "rests_on": [_token(token) for token, _ in verdict.rests_on],
                "expires_ns": None if expires == NEVER_NS else expires,
            }
        case EmitCard(pts_ns, action):
            return {"type": "emit_card", "pts_ns": pts_ns, "action": action.value}
        case Mute(token, spans):
            return {"type": "mute", "token": _token(token), "spans": [list(s) for s in spans]}
        case Drop(token, reason):
            return {"type": "drop", "token": _token(token), "reason": reason.value}
        case Stop(outcome):
            return {"type": "stop", "outcome": outcome.value}
        case Record(note):
            return _write_note(note)


def _write_note(
    note: StateChanged | FaultNoted | CoolDownStarted | ResumeRefused,
) -> dict[str, Any]:
    match note:
        case StateChanged(state, reason, pts_ns, now_ns):
            changed = {"state": state.value, "reason": reason.value}
            return {"type": "state_changed", **changed, "pts_ns": pts_ns, "now_ns": now_ns}
        case FaultNoted(_, now_ns):
            # What it says is for people: another implementation may say it otherwise.
            return {"type": "fault_noted", "now_ns": now_ns}
        case CoolDownStarted(level, until_ns):
            return {"type": "cool_down_started", "level": level, "until_ns": until_ns}
        case ResumeRefused(until_ns):
            return {"type": "resume_refused", "until_ns": until_ns}


# --- everything but the steps ---------------------------------------------------------------


def write_head(
    *,
    name: str,
    about: str,
    limits: Limits,
    policy: Policy,
    calibration: Calibration,
    views: Views,
    secret: bytes,
    cool_down: CoolDown,
    likeness: dict[tuple[str, str], Likeness],
) -> dict[str, Any]:
    """Return a file without its steps."""
    return {
        "schema": "safelight.engine-dialogue/1",
        "name": name,
        "about": about,
        "limits": dataclasses.asdict(limits),
        "policy": dataclasses.asdict(policy),
        "calibration": [list(point) for point in calibration.points],
        "every": list(views.every),
        "in_turn": list(views.in_turn),
        "secret_hex": secret.hex(),
        "stream": 0,
        "cool_down": dataclasses.asdict(cool_down),
        "likeness": [
            {"a": a, "b": b, "still": like.still, "changed_permille": like.changed_permille}
            for (a, b), like in sorted(likeness.items())
        ],
    }
