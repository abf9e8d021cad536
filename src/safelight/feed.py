"""Reads a source on a thread of its own and hands what comes to the session's inbox.

A live source is read as it comes; a file is read only as far as the session asks, so that
it waits for its judge.
"""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from dataclasses import dataclass
from typing import Final

from safelight import backlog
from safelight.errors import EndOfStream, SafelightError, SourceLostError
from safelight.media.interface import MayBeginAtKeys, Source, SourceInfo
from safelight.sealing.own_memory import lock_picture
from safelight.types import Frame, Gap, Picture

USUAL_STEP_S: Final = 1 / 30  # between pictures, where a source does not say
MOST_BACKLOG_S: Final = 2.0  # a source that never waits is taken as it comes
# Key pictures are two seconds apart where services that take live streams have their way; a
# publisher with fewer is not waited for.
MOST_KEY_WAIT_S: Final = 2.5
LIVE_BACKLOG: Final = 90  # frames that the session has not looked at; it is much faster


@dataclass(frozen=True, slots=True)
class Arrived:
    """A frame came."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Lost:
    """A live picture came and was dropped: the session did not keep up."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more comes; ``error`` is None when the source ended as it should."""

    error: SafelightError | None


class Feed:
    """One source's thread. ``inbox`` gets Arrived, Lost and, last, Ended."""

    def __init__(self, source: Source, inbox: queue.SimpleQueue[object], info: SourceInfo) -> None:
        self._source = source
        self._inbox = inbox
        self._live = info.live
        self._step_s = 1.0 / info.frame_rate if info.frame_rate > 0.0 else USUAL_STEP_S
        self._backlog = backlog.depth(info.format, LIVE_BACKLOG)
        self._gap: Gap | None = None
        self._key_by_s: float | None = None  # while a key picture to begin with is waited for
        self.skipped = 0
        self._credit = threading.Semaphore(0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="safelight-feed", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def allow(self) -> None:
        """Let a file's next frame be read."""
        self._credit.release()

    def stop(self) -> None:
        """Read no more. The thread ends by itself as soon as the source lets go."""
        self._stop.set()
        self._credit.release()
        self._source.close()

    def _run(self) -> None:
        error: SafelightError | None = None
        try:
            if self._live:
                self._to_live_edge()
            while not self._stop.is_set():
                if not self._live:
                    self._credit.acquire()
                    if self._stop.is_set():
                        break
                self._pass_on(self._source.read())
        except EndOfStream:
            error = None
        except SafelightError as caught:
            error = caught
        except Exception as caught:  # noqa: BLE001  (fails closed: the stream ends)
            what = f"the source broke ({type(caught).__name__})"
            error = SourceLostError(what, "see whether it can be played by itself")
        self._inbox.put(Ended(error))

    def _to_live_edge(self) -> None:
        """Begin where a live stream is now, not with what queued up while it was opened.

        A burst of a second of video at once would be more than a judge can answer for in
        time. It is over when a read has to wait for the world.
        """
        newest = self._source.read()
        end_s = time.monotonic() + MOST_BACKLOG_S
        waited_s = 0.0  # since the last picture: sound comes in between
        while not self._stop.is_set():
            began_s = time.monotonic()
            try:
                frame = self._source.read()
            except (EndOfStream, SafelightError):
                self._pass_on(newest)
                raise
            waited_s += time.monotonic() - began_s
            if not isinstance(frame.content, Picture):
                continue  # sound of pictures that are skipped is silent anyway
            if waited_s > self._step_s / 2 or began_s > end_s or frame.gap is not None:
                if isinstance(self._source, MayBeginAtKeys):
                    self._key_by_s = time.monotonic() + MOST_KEY_WAIT_S
                self._pass_on(newest)
                self._pass_on(frame)
                return
            self.skipped += isinstance(newest.content, Picture)
            newest, waited_s = frame, 0.0

    def _begins(self, frame: Frame) -> bool:
        """Whether what leaves may begin, or has begun, with ``frame``.

        Where a sink passes pictures on as they came, all before the next key picture would
        have to be encoded, just while every picture has to be judged.
        """
        source, picture = self._source, frame.content
        if self._key_by_s is None or not isinstance(source, MayBeginAtKeys):
            return True
        if not isinstance(picture, Picture):
            return False
        if source.begins(picture) or time.monotonic() > self._key_by_s:
            self._key_by_s = None
            return True
        self.skipped += 1
        return False

    def _pass_on(self, frame: Frame) -> None:
        if not self._begins(frame):
            return
        if isinstance(frame.content, Picture):
            # It waits here longest: in a host's process, whose dumps and swap are not ours.
            lock_picture(frame.content)
        if self._live and self._inbox.qsize() >= self._backlog:
            if isinstance(frame.content, Picture):
                self._inbox.put(Lost())
                self._gap = frame.gap or self._gap
            return
        if self._gap is not None and isinstance(frame.content, Picture):
            # The flow broke before a picture that was dropped: so it did before this one.
            frame = dataclasses.replace(frame, gap=frame.gap or self._gap)
            self._gap = None
        self._inbox.put(Arrived(frame))
