"""Write the engine dialogues of spec/vectors/engine, and their JSON Schema.

    .venv/bin/python tools/make_vectors.py

Each is told here as a story; the reference engine supplies the commands. Run it after the
engine changed on purpose, and read what changed in the files before you commit them:
tests/core/test_vectors.py replays them and fails on any difference.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools import vector_format  # noqa: E402

from safelight import policies  # noqa: E402
from safelight.core.engine import Engine  # noqa: E402
from safelight.core.held import Views  # noqa: E402
from safelight.core.limits import Limits  # noqa: E402
from safelight.core.stream import NO_COOL_DOWN, CoolDown  # noqa: E402
from safelight.testing.fakes import VIEW, scores  # noqa: E402
from safelight.testing.gates import CLOSE, ScriptedGate, symbol  # noqa: E402
from safelight.types import (  # noqa: E402
    NS_PER_MS,
    Ask,
    AudioArrived,
    BundleChanged,
    Calibration,
    Event,
    Evidence,
    EvidenceReady,
    Fault,
    FaultKind,
    Frame,
    Gap,
    Interrupt,
    PictureArrived,
    PictureFormat,
    Resume,
    Sound,
    SourceEnded,
    StreamStarted,
    Tick,
    Token,
)

VECTORS: Final = ROOT / "spec" / "vectors" / "engine"
SCHEMA: Final = ROOT / "spec" / "engine-dialogue.schema.json"
SECRET: Final = b"a secret for the vectors"
POLICY: Final = policies.load("protect")
PRIOR: Final = Calibration(
    "uncalibrated prior", ((0, -2000), (200, -500), (500, 500), (800, 2000), (1000, 4000))
)
LIKENESS: Final = {("A", "B"): CLOSE, ("A", "C"): CLOSE, ("B", "C"): CLOSE}
# The right end after five pictures of 40 ms; a short grace, so that dialogues are short.
LIVE = Limits(grace_ns=100 * NS_PER_MS, bracket_span_permille=800)
CALL, FILE = dataclasses.replace(LIVE, hold_ns=0), dataclasses.replace(LIVE, patient=True)
CLEAR, SENSITIVE = scores(0.01), scores(0.99)
STEP_MS: Final = 40  # 25 frames a second


class Story:
    """A dialogue in the making. Times are milliseconds."""

    def __init__(
        self, limits: Limits, cool_down: CoolDown = NO_COOL_DOWN, in_turn: tuple[str, ...] = ()
    ) -> None:
        self.limits = limits
        self.cool_down = cool_down
        self.views = Views((VIEW,), in_turn)
        parts = (limits, POLICY, PRIOR, self.views, ScriptedGate(LIKENESS), SECRET, 0, cool_down)
        self.engine = Engine(*parts)
        self.steps: list[dict[str, Any]] = []
        self.asked: dict[int, Token] = {}
        self.open: list[int] = []
        self.shown: dict[int, str] = {}
        self.seq = 0
        self.now = 0
        self.tell(StreamStarted(0))

    def tell(self, event: Event) -> None:
        said = self.engine.handle(event)
        for command in said:
            if isinstance(command, Ask):
                self.asked[command.token.seq] = command.token
                self.open.append(command.token.seq)
        written = [vector_format.write_command(command) for command in said]
        self.steps.append({"event": vector_format.write_event(event), "commands": written})

    @property
    def now_ns(self) -> int:
        return self.now * NS_PER_MS

    def picture(
        self, name: str, pts: int | None = None, gap: Gap | None = None, width: int = 16
    ) -> int:
        """Show a picture now; its number comes back."""
        at = self.now if pts is None else pts
        shown = symbol(name, PictureFormat(width, 16))
        seq, self.seq = self.seq, self.seq + 1
        frame = Frame(seq, at, Fraction(1, 1000), self.now_ns, shown, gap)
        self.tell(PictureArrived(self.now_ns, frame))
        return seq

    def sound(self, pts: int | None = None, samples: int = 1920) -> None:
        seq, self.seq = self.seq, self.seq + 1
        at = self.now if pts is None else pts
        chunk = Sound(48000, np.zeros((1, samples), np.float32))
        frame = Frame(seq, at, Fraction(1, 1000), self.now_ns, chunk)
        self.tell(AudioArrived(self.now_ns, frame))

    def answer(self, evidence: Evidence = CLEAR, seq: int | None = None, nonce: int = 0) -> None:
        """Answer the oldest open question, or the one about ``seq``."""
        about = self.open[0] if seq is None else seq
        if about in self.open:
            self.open.remove(about)
        token = dataclasses.replace(self.asked[about], nonce=self.asked[about].nonce + nonce)
        self.tell(EvidenceReady(self.now_ns, token, evidence))

    def tick(self, to: int | None = None) -> None:
        """Let time pass to ``to``, ticking whenever the engine wants it."""
        goal = self.now if to is None else to
        while (wake := self.engine.wake_ns()) is not None and wake <= goal * NS_PER_MS:
            self.tell(Tick(max(wake, self.now_ns)))
            self.now = max(self.now, wake // NS_PER_MS)
            if wake < self.now_ns and self.engine.wake_ns() == wake:
                break
        self.now = goal

    def film(
        self,
        names: str,
        *,
        sensitive: str = "S",
        sound: bool = False,
        clear: Evidence = CLEAR,
    ) -> None:
        """Show pictures one step apart; answers come 10 ms after their questions."""
        for name in names:
            start = self.now
            if sound:
                self.sound()
            seq = self.picture(name)
            self.shown[seq] = name
            self.tick(start + 10)
            for asked in list(self.open):
                bad = self.shown.get(asked, "A") in sensitive
                self.answer(SENSITIVE if bad else clear, asked)
            self.tick(start + STEP_MS)

    def end(self) -> None:
        self.tell(SourceEnded(self.now_ns))
        while self.open and not self.engine.stopped:
            self.answer(CLEAR, self.open[0])
        for _ in range(100):
            wake = self.engine.wake_ns()
            if self.engine.stopped or wake is None:
                break
            self.tell(Tick(wake))


STORIES: Final[dict[str, tuple[str, Callable[[], Story]]]] = {}


def story(name: str) -> Callable[[Callable[[], Story]], Callable[[], Story]]:
    def keep(tell: Callable[[], Story]) -> Callable[[], Story]:
        STORIES[name] = (" ".join((tell.__doc__ or "").split()), tell)
        return tell

    return keep


@story("opens")
def opens() -> Story:
    """It starts closed, opens on clear frames over 100 ms, brackets, and ends."""
    made = Story(LIVE, in_turn=("squares",))
    made.film("ABC" * 8)
    made.end()
    return made


@story("nobody-answers")
def nobody_answers() -> Story:
    """Without a verdict every frame is covered at its deadline."""
    made = Story(LIVE)
    for name in "ABCA":
        made.picture(name)
        made.tick(made.now + STEP_MS)
    made.end()
    return made


@story("no-evidence")
def no_evidence() -> Story:
    """NaN, out of range, a view missing, forged, late: none of them counts."""
    made = Story(LIVE)
    kinds = [
        scores(math.nan),
        scores(0.0, math.nan),
        scores(math.inf),
        scores(-0.001),
        scores(1.001),
        scores(0.0, views=()),
        scores(0.0, 1.5),
    ]
    for evidence in kinds:
        made.picture("A")
        made.answer(evidence)
        made.tick(made.now + STEP_MS)
    made.picture("A")
    made.answer(CLEAR, nonce=1)
    made.picture("D")
    made.now += 350
    made.answer(CLEAR)
    made.end()
    return made


@story("canary-live")
def canary_live() -> Story:
    """One sensitive frame while live: it and what comes after is covered for a second."""
    made = Story(LIVE)
    made.film("ABCABCABCABCABCS" + "ABC" * 12)
    made.end()
    return made


@story("canary-call")
def canary_call() -> Story:
    """The same with a hold of 0: every frame is judged itself."""
    made = Story(CALL)
    made.film("ABCABCABCABCSS" + "ABC" * 12)
    made.end()
    return made


@story("interruption")
def interruption() -> Story:
    """Sensitive frames for two seconds: interrupted; a resume is refused, then taken."""
    made = Story(CALL)
    made.film("ABCABC" + "ST" * 26, sensitive="ST")
    made.tell(Resume(made.now_ns))
    made.now += 9000
    made.tick()
    made.film("AB")
    made.tell(Resume(made.now_ns))
    made.now += 4000
    made.tell(Resume(made.now_ns))
    made.film("ABCABC")
    made.end()
    return made


@story("cool-down-from-before")
def cool_down_from_before() -> Story:
    """A guard that starts within a cool-down starts interrupted."""
    made = Story(CALL, CoolDown(2, 500 * NS_PER_MS))
    made.film("AB")
    made.tell(Resume(made.now_ns))
    made.now = 600
    made.tell(Resume(made.now_ns))
    made.film("ABCABC")
    made.end()
    return made


@story("bracket-with-a-bad-end")
def bracket_with_a_bad_end() -> Story:
    """A right end that is not clear: every frame between is judged, oldest first. No audits."""
    made = Story(dataclasses.replace(FILE, audit_one_in=1 << 40, audit_between_one_in=1 << 40))
    for name in "ABCA":
        made.picture(name)
        made.answer(CLEAR)
        made.now += STEP_MS
    while not made.open:
        made.picture("BC"[made.seq % 2])
        made.now += STEP_MS
    made.answer(scores(0.6))
    while made.open:
        made.answer(CLEAR)
    made.end()
    return made


@story("audit-in-a-bracket")
def audit_in_a_bracket() -> Story:
    """Frames that differ a little from the last judged one: an audit makes one a right end."""
    made = Story(dataclasses.replace(FILE, audit_one_in=4, audit_between_one_in=4))
    for number in range(24):
        made.picture("ABC"[number % 3])
        while made.open:
            made.answer(CLEAR)
        made.now += STEP_MS
    made.end()
    return made


@story("contradiction")
def contradiction() -> Story:
    """Two answers about one frame that differ: neither counts, nor what rests on it."""
    made = Story(LIVE)
    made.film("ABCABCABC")
    made.picture("D")
    made.answer(CLEAR)
    made.now += 20
    made.answer(SENSITIVE, made.seq - 1)
    made.film("ABC")
    made.end()
    return made


@story("still")
def still() -> Story:
    """A picture that does not change: most frames take over, some are audited."""
    made = Story(LIVE)
    made.film("A" * 40)
    made.end()
    return made


@story("breaks")
def breaks() -> Story:
    """Live: pts backwards, a jump, another size, a source that says so, a long sleep."""
    made = Story(CALL)
    made.film("ABCABC")
    made.picture("A", pts=0)
    made.answer(CLEAR)
    made.picture("A", pts=5000)
    made.answer(CLEAR)
    made.picture("A", pts=5040, width=32)
    made.answer(CLEAR)
    made.picture("A", pts=5080, width=32, gap=Gap.SOURCE)
    made.answer(CLEAR)
    made.now += 6000
    made.picture("A", pts=5120, width=32)
    made.end()
    return made


@story("file-that-starts-again")
def file_that_starts_again() -> Story:
    """A file whose time starts again: it finishes what is held, and its sound waits."""
    made = Story(FILE)
    made.film("ABCABCABC", sound=True)
    for index in range(4):
        made.sound(index * STEP_MS)
        made.picture("ST"[index % 2], pts=index * STEP_MS)
    while made.open:
        made.answer(SENSITIVE)
    made.end()
    return made


@story("faults")
def faults() -> Story:
    """A judge that breaks once is waited for; three times in a minute interrupts."""
    made = Story(LIVE)
    made.film("ABCABCABC")
    made.picture("S")
    made.tell(Fault(made.now_ns, FaultKind.JUDGE))
    made.answer(CLEAR)  # from before the fault
    made.film("ABCABCABCABC")
    made.tell(Fault(made.now_ns, FaultKind.JUDGE))
    made.film("ABC")
    made.tell(Fault(made.now_ns, FaultKind.JUDGE))
    made.film("AB")
    made.tell(Resume(made.now_ns))
    made.film("ABCABC")
    made.tell(Fault(made.now_ns, FaultKind.RING))
    return made


@story("another-bundle")
def another_bundle() -> Story:
    """Another bundle judges: what is outstanding counts no more, and it starts closed."""
    made = Story(LIVE)
    made.film("ABCABCABC")
    made.picture("D")
    made.tell(BundleChanged(made.now_ns))
    made.answer(CLEAR)
    made.film("ABCABCABC")
    made.end()
    return made


@story("overload")
def overload() -> Story:
    """A judge that needs 200 ms: frames are dropped, none is released unjudged."""
    return _overloaded(LIVE)


@story("overload-of-a-livestream")
def overload_of_a_livestream() -> Story:
    """The same with the limits that a livestream has: its answers may be half a second late."""
    return _overloaded(Limits())


def _overloaded(limits: Limits) -> Story:
    made = Story(limits)
    busy_until = 0
    for index in range(50):
        start = made.now
        made.picture("AD"[index % 2])
        while made.open and busy_until + 200 <= start + STEP_MS:
            busy_until = max(busy_until + 200, start)
            made.tick(busy_until)
            made.answer(CLEAR)
        made.tick(start + STEP_MS)
    made.end()
    return made


@story("late-and-sensitive")
def late_and_sensitive() -> Story:
    """What is said too late permits nothing; what it forbids is forbidden from then on."""
    made = Story(CALL)
    made.film("ABCABC")
    made.picture("S")
    made.tick(made.now + 110)
    made.answer(SENSITIVE)
    made.film("ABC" * 10)
    made.end()
    return made


@story("further-view-raised")
def further_view_raised() -> Story:
    """What a further view says of a judged frame is of that frame: others rest on it while the
    views of every frame are far below every limit, and are judged themselves while they are not."""
    made = Story(LIVE, in_turn=("squares",))
    made.film("ABC" * 4)
    both = (VIEW, "squares")
    made.film("ABC" * 4, clear=scores(0.3, None, both, 0.02))
    made.film("ABC" * 2, clear=scores(0.3, None, both, 0.15))
    made.end()
    return made


@story("other-direction")
def other_direction() -> Story:
    """The other direction of a call is interrupted: so is this one, without a cool-down of
    its own; none that runs there can be left here; then it starts closed."""
    made = Story(CALL)
    made.film("ABC" * 4, sound=True)
    made.picture("A")
    until = made.now_ns + 10_000 * NS_PER_MS
    made.tell(Interrupt(made.now_ns, 1, until))
    made.film("AB", sound=True)
    made.tell(Interrupt(made.now_ns, 0, 0))
    made.tell(Resume(made.now_ns))
    made.tick(10_700)
    made.tell(Resume(made.now_ns))
    made.film("ABC" * 3, sound=True)
    made.end()
    return made


@story("stall-and-sound")
def stall_and_sound() -> Story:
    """No picture for seconds: cards, silence; then all comes at once, times unbroken."""
    made = Story(LIVE)
    made.film("ABC" * 5, sound=True)
    pts = made.now
    made.tick(made.now + 3500)
    for index in range(12):
        made.sound(pts)
        made.picture("ABCS"[min(index % 3 if index < 6 else 3, 3)], pts=pts)
        pts += STEP_MS
        made.now += 4
    while made.open:
        made.answer(CLEAR if made.open[0] < made.seq - 12 else SENSITIVE)
    made.end()
    return made


def text(name: str) -> str:
    """Return the text of one file."""
    about, tell = STORIES[name]
    made = tell()
    head = vector_format.write_head(
        name=name,
        about=about,
        limits=made.limits,
        policy=POLICY,
        calibration=PRIOR,
        views=made.views,
        secret=SECRET,
        cool_down=made.cool_down,
        likeness=LIKENESS,
    )
    # One step a line: a difference shows which.
    lines = [json.dumps(step, allow_nan=False) for step in made.steps]
    top = json.dumps(head, indent=1, allow_nan=False)[:-2]
    return top + ',\n "steps": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n"


def schema() -> str:
    """Return the text of the JSON Schema."""
    made = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **vector_format.Dialogue.model_json_schema(by_alias=True),
    }
    return json.dumps(made, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def names() -> Iterable[str]:
    """Return the names of all dialogues."""
    return STORIES


def main() -> None:
    VECTORS.mkdir(parents=True, exist_ok=True)
    for name in STORIES:
        (VECTORS / f"{name}.json").write_text(text(name), encoding="utf-8")
    SCHEMA.write_text(schema(), encoding="utf-8")


if __name__ == "__main__":
    main()
