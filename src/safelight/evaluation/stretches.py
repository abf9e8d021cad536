"""What became of each stretch that had to be covered, by what reached the sink.

Only a cover *for content* counts as one. A guard whose judge dies covers as well, and must;
but it has found nothing. A stretch that begins while the picture is dark already (covered or
interrupted by what came before) shows neither: it is counted by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from safelight.evaluation.figures import Part
from safelight.evaluation.manifest import Span
from safelight.types import Action, Reason


@dataclass(frozen=True, slots=True)
class Left:
    """One picture that reached the sink: when, whether as it came, and what was said of it."""

    at_s: float
    released: bool
    action: Action
    reason: Reason

    @property
    def for_content(self) -> bool:
        """Whether it was kept back for what is in it."""
        return not self.released and self.reason is Reason.SEXUAL_CONTENT


class Stretch(Part):
    """One stretch. Delays in seconds of stream time from its first picture; None: never in it."""

    pictures: int
    dark_before: bool
    cover_delay_s: float | None
    interrupt_delay_s: float | None

    @property
    def is_covered(self) -> bool:
        """Whether any picture of it was kept back for its content."""
        return self.cover_delay_s is not None


def within(at_s: float, spans: Iterable[Span]) -> bool:
    """Return whether a moment lies in one of the spans."""
    # Half a microsecond: pts are rounded down to nanoseconds.
    return any(span.from_s - 5e-7 <= at_s < span.to_s - 5e-7 for span in spans)


def of(left: Sequence[Left], spans: Iterable[Span]) -> tuple[Stretch, ...]:
    """Return what became of each span."""
    return tuple(_one(left, span) for span in spans)


def _one(left: Sequence[Left], span: Span) -> Stretch:
    inside = [one for one in left if within(one.at_s, (span,))]
    before = [one for one in left if one.at_s < span.from_s - 5e-7]
    covered = (one for one in inside if one.for_content)
    stopped = (one for one in inside if one.action is Action.INTERRUPT and one.for_content)
    return Stretch(
        pictures=len(inside),
        dark_before=bool(before) and not before[-1].released,
        cover_delay_s=_delay(inside, covered),
        interrupt_delay_s=_delay(inside, stopped),
    )


def _delay(inside: Sequence[Left], found: Iterable[Left]) -> float | None:
    first = next(iter(found), None)
    return None if first is None else round(first.at_s - inside[0].at_s, 3)
