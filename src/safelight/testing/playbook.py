"""A playbook: the dialogue between events and commands, written down and then held true.

After mitmproxy's idea. ``>>`` feeds the engine an event, ``<<`` says which commands must
have come back since; ``assert playbook`` compares all of it and shows the difference::

    playbook = Playbook(engine)
    playbook >> StreamStarted(0) << "state pending starting"
    playbook >> picture(0, "A", 0) << "ask 0"
    playbook >> playbook.answer(0, scores(0.0), now_ns=10)
    assert playbook

Commands are written in full, or as :func:`spell` spells them. A playbook that nobody
asserted proves nothing: have a fixture assert after each test that :func:`forgotten` returns
none.
"""

from __future__ import annotations

import difflib
from fractions import Fraction
from typing import Final, Self

from safelight.core.engine import Engine
from safelight.testing.gates import name_of, symbol
from safelight.types import (
    NS_PER_MS,
    Ask,
    AudioArrived,
    Command,
    CoolDownStarted,
    Drop,
    Emit,
    EmitCard,
    Event,
    Evidence,
    EvidenceReady,
    FaultNoted,
    Frame,
    Gap,
    Mute,
    Picture,
    PictureArrived,
    Record,
    ResumeRefused,
    StateChanged,
    Stop,
    Token,
)

MILLISECOND: Final = Fraction(1, 1000)
_UNASSERTED: Final[list[Playbook]] = []
Note = StateChanged | FaultNoted | CoolDownStarted | ResumeRefused


def frame(
    seq: int, name: str, pts_ms: int, arrived_ms: int | None = None, gap: Gap | None = None
) -> Frame:
    """Return a frame with the symbol ``name``; it arrives at its pts unless said otherwise."""
    arrived = (pts_ms if arrived_ms is None else arrived_ms) * NS_PER_MS
    return Frame(seq, pts_ms, MILLISECOND, arrived, symbol(name), gap)


def picture(
    seq: int, name: str, pts_ms: int, arrived_ms: int | None = None, gap: Gap | None = None
) -> PictureArrived:
    """Return the arrival of ``frame(...)``, at the moment it arrives."""
    made = frame(seq, name, pts_ms, arrived_ms, gap)
    return PictureArrived(made.arrived_ns, made)


def spell(command: Command) -> str:
    """Return a command as a short text: ``release 7 still of 3``, ``drop 9 overload``."""
    match command:
        case Ask(token, views):
            return f"ask {token.seq} {' '.join(views)}"
        case Emit(verdict):
            said = f"{verdict.action.value} {verdict.token.seq} "
            if verdict.binding is None:
                return said + verdict.reason.value
            ends = "-".join(str(token.seq) for token, _ in verdict.rests_on)
            return f"{said}{verdict.binding.value} by {ends}"
        case EmitCard(pts_ns, action):
            return f"card at {_ms(pts_ns)} {action.value}"
        case Mute(token, spans):
            return f"sound {token.seq} " + _silent(spans)
        case Drop(token, reason):
            return f"drop {token.seq} {reason.value}"
        case Stop(outcome):
            return f"stop {outcome.value}"
        case Record(note):
            return _spell_note(note)


def _spell_note(note: Note) -> str:
    match note:
        case StateChanged(state, reason, _, _):
            return f"state {state.value} {reason.value}"
        case FaultNoted(what, _):
            return f"note {what}"
        case CoolDownStarted(level, until_ns):
            return f"cool-down {level} until {_ms(until_ns)}"
        case ResumeRefused(until_ns):
            return f"resume refused until {_ms(until_ns)}"


def _silent(spans: tuple[tuple[int, int], ...]) -> str:
    return " ".join(f"silent {_ms(start)}-{_ms(end)}" for start, end in spans) or "as it came"


def _ms(time_ns: int) -> str:
    return f"{time_ns / NS_PER_MS:.10g}ms"


def _tell(event: Event) -> str:
    at = _ms(event.now_ns)
    match event:
        case PictureArrived(_, arrived) | AudioArrived(_, arrived):
            what = name_of(arrived.content) if isinstance(arrived.content, Picture) else "sound"
            return f"{type(event).__name__} {arrived.seq} {what} at {at}"
        case EvidenceReady(_, token, evidence):
            return f"EvidenceReady {token.seq} {evidence} at {at}"
    return f"{type(event).__name__} at {at}"


def forgotten() -> list[Playbook]:
    """Return the playbooks that were written and never asserted since the last call."""
    found = _UNASSERTED.copy()
    _UNASSERTED.clear()
    return found


class Playbook:
    """One engine's dialogue. See the module's text."""

    def __init__(self, engine: Engine, *, records: bool = True) -> None:
        """Begin a playbook.

        Args:
            engine: what is tested; nobody else feeds it meanwhile.
            records: whether ``Record`` commands have to be written down too.
        """
        self.engine = engine
        self.commands: list[Command] = []
        self.asked: dict[int, Token] = {}
        self.open: list[int] = []  # what was asked about and not answered, oldest first
        self.now_ns = 0
        self._records = records
        self._expected: list[str] = []
        self._actual: list[str] = []

    def __rshift__(self, event: Event) -> Self:
        """Feed the engine an event; what it says has to be written down."""
        self._owe()
        told = f">> {_tell(event)}"
        self._expected.append(told)
        self._actual.append(told)
        for command in self.feed(event):
            if self._records or not isinstance(command, Record):
                self._actual.append(f"<< {spell(command)}")
        return self

    def feed(self, event: Event) -> list[Command]:
        """Feed the engine an event off the record, to get it somewhere: nothing is compared."""
        self.now_ns = max(self.now_ns, event.now_ns)
        if isinstance(event, EvidenceReady) and event.token.seq in self.open:
            self.open.remove(event.token.seq)
        said = self.engine.handle(event)
        self.commands += said
        for command in said:
            if isinstance(command, Ask):
                self.asked[command.token.seq] = command.token
                self.open.append(command.token.seq)
        return said

    def __lshift__(self, expected: Command | str) -> Self:
        """Say which command comes next."""
        self._owe()
        text = expected if isinstance(expected, str) else spell(expected)
        self._expected.append(f"<< {text}")
        return self

    def _owe(self) -> None:
        if self not in _UNASSERTED:
            _UNASSERTED.append(self)

    @property
    def told(self) -> list[str]:
        """What the engine said so far, spelt; looking at it does not assert the playbook."""
        return [spell(command) for command in self.commands]

    def answer(self, seq: int, evidence: Evidence, *, now_ns: int) -> EvidenceReady:
        """Return the answer to the last question about frame ``seq``.

        Raises:
            KeyError: it was never asked about.
        """
        return EvidenceReady(now_ns, self.asked[seq], evidence)

    def __bool__(self) -> bool:
        """Compare; ``assert playbook`` calls this.

        Raises:
            AssertionError: the dialogue went another way; the text is the difference.
        """
        if self in _UNASSERTED:
            _UNASSERTED.remove(self)
        if self._expected == self._actual:
            return True
        diff = "\n".join(difflib.ndiff(self._expected, self._actual))
        raise AssertionError(f"the dialogue went another way (- expected, + happened):\n{diff}")
