"""What a person sees of a guard, always on standard error: standard output may hold events.

On a terminal a progress bar (files) or a live line (streams); elsewhere plain lines, one for
each change of state. Meaning is never in colour alone.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from safelight import CardText, Reason, Report, Session, State, StreamEvent

_RATE_OVER_S: Final = 2.0  # the frame rate shown is that of the last two seconds
_SAME_CARD_S: Final = 10.0  # a card is not shown again so soon

_SHORT: Final = {
    State.PENDING: "starting",
    State.LIVE: "live",
    State.COVERED: "paused",
    State.INTERRUPTED: "interrupted",
}
# Content needs no words here: the card has them, and they were chosen with care.
_WHY: Final = {
    Reason.NO_VERDICT: "no verdict came in time",
    Reason.FAULT: "a fault",
    Reason.OVERLOAD: "too much at once",
    Reason.DISCONTINUITY: "the stream broke off",
    Reason.USER_RESUME: "resumed",
}


def complain(message: str) -> None:
    """Say on one line what is wrong."""
    line = " ".join(message.split())
    try:
        sys.stderr.write(f"safelight: {line}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        return  # nobody listens; the exit status still says it


class Screen:
    """What is shown while a stream is guarded. Only one thread uses it."""

    def __init__(
        self, *, quiet: bool, moving: bool, resume_key: str | None, listening: str
    ) -> None:
        """``moving``: whether lines may be redrawn. ``listening``: what to say while it waits
        for a publisher."""
        self._console = Console(stderr=True, highlight=False, emoji=False, markup=False)
        self._quiet = quiet
        self._moving = moving and not quiet and self._console.is_terminal
        self._resume_key = resume_key
        self._listening = listening
        self._live: Live | None = None
        self._progress: Progress | None = None
        self._covers = 0
        self._event: StreamEvent | None = None
        self._wait_until = 0.0
        self._counted: deque[tuple[float, int]] = deque()
        self._card_shown: tuple[float, CardText] | None = None
        self._drawn_at = 0.0

    @property
    def moving(self) -> bool:
        """Whether lines are redrawn: a terminal, and not told to be quiet."""
        return self._moving

    def say(self, line: str) -> None:
        """Print one line."""
        if self._quiet:
            return
        try:
            self._console.print(line, soft_wrap=True)
        except OSError:
            self._quiet, self._moving = True, False  # nobody looks any more; the guard goes on

    def happened(self, event: StreamEvent) -> None:
        """Show a change of state, and the card's text when a cover begins."""
        if event.kind == "resume_refused":
            self._wait_until = time.monotonic() + event.wait_s
            self.say(f"            resume possible in {event.wait_s:.0f} s")
            return
        if event.kind != "state":
            return
        before, self._event = self._event, event
        self._wait_until = 0.0
        closed = (State.COVERED, State.INTERRUPTED)
        if event.state in closed and (before is None or before.state not in closed):
            self._covers += 1
        why = f" ({_WHY[event.reason]})" if event.reason in _WHY else ""
        self.say(f"{event.at_s:9.2f} s  {event.text}{why}")
        if event.card is not None:
            self._show_card(event.card)

    def tick(self, session: Session) -> None:
        """Draw what moves."""
        if not self._moving:
            return
        now = time.monotonic()
        self._counted.append((now, session.frames_in))
        while now - self._counted[0][0] > _RATE_OVER_S:
            self._counted.popleft()
        info = session.info
        try:
            if info is not None and not info.live:
                self._draw_progress(session, info.frames)
            else:
                self._draw_line(session, waiting=info is None)
        except OSError:
            self._quiet, self._moving = True, False

    def stop(self, *, finished: bool) -> None:
        """Leave the terminal as it was; a finished bar stays."""
        if self._live is not None:
            self._live.stop()
        if self._progress is not None:
            if finished:
                for task in self._progress.tasks:
                    total = task.total if task.total is not None else task.completed
                    self._progress.update(task.id, total=total, completed=total)
            self._progress.refresh()
            self._progress.stop()

    def summary(self, report: Report) -> None:
        """Print the two lines of the end."""
        f = report.frames
        stamp = f" · TEST: stand-in bundle {report.bundle.id}" if report.bundle.test else ""
        self.say(
            f"{f.in_} pictures in: {f.released} released, {f.covered} covered,"
            f" {f.interrupted} interrupted, {f.dropped} dropped"
        )
        self.say(f"system leaks: {f.unjudged_released} · misses: {report.misses}{stamp}")

    # --- drawing --------------------------------------------------------------------------

    def _show_card(self, card: CardText) -> None:
        now = time.monotonic()
        shown = self._card_shown
        if shown is not None and shown[1] == card and now - shown[0] < _SAME_CARD_S:
            return
        self._card_shown = (now, card)
        for words in (card.stamp, card.headline, *card.lines):
            if words:
                self.say(f"           │ {words}")

    def _rate(self) -> float:
        (t0, n0), (t1, n1) = self._counted[0], self._counted[-1]
        return (n1 - n0) / (t1 - t0) if t1 > t0 else 0.0

    def _draw_progress(self, session: Session, total: int | None) -> None:
        if self._progress is None:
            self._progress = Progress(
                TextColumn("{task.description}", table_column=None),
                BarColumn(bar_width=None),
                TextColumn("{task.percentage:>3.0f} %"),
                TextColumn("{task.fields[rate]:>5.0f} frames/s"),
                TimeRemainingColumn(compact=True),
                TextColumn("left"),
                console=self._console,
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=False,
                expand=True,
            )
            self._progress.start()
            self._progress.add_task("", total=total, rate=0.0)
        self._progress.update(
            self._progress.tasks[0].id,
            completed=session.frames_in,
            description=escape(f"{_SHORT[session.state]:<11}"),
            rate=self._rate(),
        )
        self._progress.refresh()

    def _draw_line(self, session: Session, *, waiting: bool) -> None:
        line = Text(no_wrap=True, overflow="ellipsis")
        if waiting:
            line.append(self._listening)
        else:
            state = session.state
            text = self._event.text if self._event is not None else _SHORT[state]
            line.append(text, style="bold")
            if state is State.INTERRUPTED:
                left = self._wait_until - time.monotonic()
                if left > 0:
                    line.append(f" · resume possible in {left:.0f} s")
                elif self._resume_key is not None:
                    line.append(f" · press {self._resume_key} to resume")
            line.append(f" · {self._rate():.0f} frames/s · covered {self._covers}×")
        line.append(" · Ctrl-C ends")
        if self._live is None:
            self._live = Live(
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        self._live.update(line, refresh=True)
