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
from safelight.cli.listening import listens, port_of

_RATE_OVER_S: Final = 2.0  # the frame rate shown is that of the last two seconds
_SAME_CARD_S: Final = 10.0  # a card is not shown again so soon

_NARROW: Final = 60  # columns: below, a bar keeps the room

_SHORT: Final = {
    State.PENDING: "Starting",
    State.LIVE: "Live",
    State.COVERED: "Paused",
    State.INTERRUPTED: "Interrupted",
}
_GETTING_READY: Final = "Starting: nobody can connect yet"
_WAITING: Final = "Waiting for a publisher"
_BETWEEN: Final = " · "
# Content needs no words here: the card has them, and they were chosen with care.
_WHY: Final = {
    Reason.NO_VERDICT: "no verdict came in time",
    Reason.FAULT: "a fault",
    Reason.OVERLOAD: "too much at once",
    Reason.DISCONTINUITY: "the stream broke off",
    Reason.USER_RESUME: "resumed",
    Reason.OTHER_DIRECTION: "the other direction was interrupted",
}


def complain(message: str) -> None:
    """Say on one line what is wrong."""
    line = " ".join(message.split())
    if sys.stderr is None:
        return  # it was closed before we began
    try:
        sys.stderr.write(f"safelight: {line}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        return  # nobody listens; the exit status still says it


class _Console(Console):
    """A console whose reader may leave: the guard goes on, and says nothing from then on."""

    def on_broken_pipe(self) -> None:
        """Let the error through: rich would end the process, and take standard output from it."""
        raise BrokenPipeError


class Screen:
    """What is shown while a stream is guarded. Only one thread uses it."""

    def __init__(
        self, *, quiet: bool, moving: bool, live: bool, resume_key: str | None, source: str
    ) -> None:
        """``moving``: whether lines may be redrawn. ``live``: whether the source is.
        ``source``: its address, without its stream key."""
        self._console = _Console(stderr=True, highlight=False, emoji=False, markup=False)
        self._quiet = quiet
        self._live_source = live
        self._moving = moving and not quiet and self._console.is_terminal
        self._resume_key = resume_key
        self._source = source
        self._listens = False  # a publisher can connect
        self._live: Live | None = None
        self._progress: Progress | None = None
        self._covers = 0
        self._event: StreamEvent | None = None
        self._wait_until = 0.0
        self._back_until: float | None = None  # a publisher left, and has until then
        self._waiting = True  # for the source to open
        self._counted: deque[tuple[float, int]] = deque()
        self._card_shown: tuple[float, CardText] | None = None

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
        before = self._event
        match event.kind:
            case "state":
                self._event = event
                self._state(event, before)
            case "resume_refused":
                self._wait(event.wait_s)
                self._line(f"            resume possible in {_whole(event.wait_s)} s")
            case "source_left":
                self._back_until = time.monotonic() + event.wait_s
                self._happened(event, f" ({_whole(event.wait_s)} s)")
            case "source_back":
                self._back_until = None
                self._happened(event)
            case "end" if self._back_until is not None:
                self._back_until = None
                self._happened(event, " (the publisher did not come back)")

    def _state(self, event: StreamEvent, before: StreamEvent | None) -> None:
        closed = (State.COVERED, State.INTERRUPTED)
        if event.state in closed and (before is None or before.state not in closed):
            self._covers += 1
        why = f" ({_WHY[event.reason]})" if event.reason in _WHY else ""
        if event.state is State.INTERRUPTED and before is None:
            why = " (after an interruption shortly before)"
        elif _opened_at_once(event, before):
            why = " (its first pictures were held until they were judged)"
        self._wait(event.wait_s if self._resume_shown(event) else 0.0)
        self._happened(event, why)
        if self._wait_until:
            self._line(f"            resume possible in {_whole(event.wait_s)} s")
        if event.card is not None:
            self._show_card(event.card)

    def _resume_shown(self, event: StreamEvent) -> bool:
        # In a file nobody can resume: there it would be film time, and nothing to wait for.
        return event.state is State.INTERRUPTED and event.wait_s > 0.0 and self._live_source

    def _wait(self, wait_s: float) -> None:
        self._wait_until = time.monotonic() + wait_s if wait_s > 0.0 else 0.0

    def _happened(self, event: StreamEvent, more: str = "") -> None:
        self._line(f"{event.at_s:9.2f} s  {event.text}{more}")

    def _line(self, line: str) -> None:
        """Say something beneath which what moves is drawn as it is now, not as it was."""
        try:
            if self._live is not None:
                self._live.update(self._moving_line(), refresh=True)
            if self._progress is not None and self._event is not None:
                bar = _bar(self._event.state)
                self._progress.update(self._progress.tasks[0].id, description=bar)
                self._progress.refresh()
        except OSError:
            self._quiet, self._moving = True, False
        self.say(line)

    def tick(self, session: Session) -> None:
        """Draw what moves, and say when a publisher can connect."""
        self._waiting = session.info is None
        if self._waiting and not self._listens and listens(port_of(self._source)):
            self._listens = True
            if not self._moving:
                self.say(_WAITING)
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
                self._draw_line()
        except OSError:
            self._quiet, self._moving = True, False

    def stop(self, *, finished: bool) -> None:
        """Leave the terminal as it was; a finished bar stays."""
        try:
            if self._live is not None:
                self._live.stop()
            if self._progress is not None:
                if finished:
                    for task in self._progress.tasks:
                        total = task.total if task.total is not None else task.completed
                        self._progress.update(task.id, total=total, completed=total)
                self._progress.refresh()
                self._progress.stop()
        except OSError:
            self._quiet, self._moving = True, False

    def summary(self, report: Report) -> None:
        """Print the lines of the end."""
        f = report.frames
        stamp = f" · TEST: stand-in bundle {report.bundle.id}" if report.bundle.test else ""
        pictures = "picture" if f.in_ == 1 else "pictures"
        self.say(
            f"{f.in_} {pictures} in: {f.released} released, {f.covered} covered,"
            f" {f.interrupted} interrupted, {f.dropped} dropped"
        )
        if report.copied:
            self.say(f"{report.copied} of the released left as they came, coded")
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
        if not self._counted:
            return 0.0
        (t0, n0), (t1, n1) = self._counted[0], self._counted[-1]
        return (n1 - n0) / (t1 - t0) if t1 > t0 else 0.0

    def _draw_progress(self, session: Session, total: int | None) -> None:
        if self._progress is None:
            # Its width is what a person reads it by, so on a narrow screen the rest goes.
            rest = (
                TextColumn("{task.fields[rate]:>5.0f} frames/s"),
                TimeRemainingColumn(compact=True),
                TextColumn("left"),
            )
            self._progress = Progress(
                TextColumn("{task.description}", table_column=None),
                BarColumn(bar_width=None),
                TextColumn("{task.percentage:>3.0f} %"),
                *(rest if self._console.width >= _NARROW else ()),
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
            description=_bar(session.state),
            rate=self._rate(),
        )
        self._progress.refresh()

    def _moving_line(self) -> Text:
        """Return the live line: whole parts, the most important first, as many as fit."""
        now = time.monotonic()
        rest = [f"{self._rate():.0f} frames/s", f"covered {self._covers}×"]
        urgent: list[str] = []
        if self._waiting and not self._listens:
            full, short, rest = _GETTING_READY, _SHORT[State.PENDING], []
        elif self._waiting:
            full, short, rest = f"{_WAITING} at {self._source}", _WAITING, []
        elif self._back_until is not None:
            full = short = "The publisher left"
            urgent.append(f"{_whole(self._back_until - now)} s to come back")
            rest = []
        else:
            event = self._event
            state = State.PENDING if event is None else event.state
            short = _SHORT[state]
            full = short if event is None else event.text
            if state is State.INTERRUPTED:
                left = self._wait_until - now
                if left > 0:
                    urgent.append(f"resume possible in {_whole(left)} s")
                elif self._resume_key is not None:
                    urgent.append(f"press {self._resume_key} to resume")
        room = self._console.width - 1
        urgent.append("Ctrl-C ends")
        parts = [full if len(_BETWEEN.join((full, *urgent))) <= room else short]
        for part in (*urgent, *rest):
            if len(_BETWEEN.join((*parts, part))) <= room:
                parts.append(part)
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(parts[0], style="bold")
        line.append("".join(_BETWEEN + part for part in parts[1:]))
        return line

    def _draw_line(self) -> None:
        if self._live is None:
            self._live = Live(
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        self._live.update(self._moving_line(), refresh=True)


def _whole(wait_s: float) -> int:
    return max(1, round(wait_s))  # 0 would say that it is over


def _bar(state: State) -> str:
    return escape(f"{_SHORT[state]:<11}")


def _opened_at_once(event: StreamEvent, before: StreamEvent | None) -> bool:
    """Whether a stream opened with its very first picture, as files do: a time of 0 s in
    ``pending`` must not read as if it had not started closed."""
    return (
        event.state is State.LIVE
        and before is not None
        and (before.state, before.reason) == (State.PENDING, Reason.STARTING)
        and before.at_s == event.at_s
    )
