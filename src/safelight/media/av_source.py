"""A source read through libav: files, RTMP in both directions, RTSP, devices, test graphs."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from safelight.errors import EndOfStream, LostError, SafelightError, SourceError, SourceLostError
from safelight.media.address import Address, Kind
from safelight.media.av_decode import ToldSound, UnreadableError, unreadable
from safelight.media.av_open import PublisherLeftError
from safelight.media.coded import CodedPictures
from safelight.media.decoding import Decodes, Decoding, Inside, Order
from safelight.media.fitness import UnfitPictureError
from safelight.media.flow import Flow
from safelight.media.interface import DroppedStream, SourceInfo
from safelight.media.tally import Tally
from safelight.types import Frame, Picture, PictureFormat

# Decoded frames that may wait to be read. Behind it a file is read no further and a
# publisher is slowed down by TCP: nothing is dropped here. A file waits for its judge anyway.
_AHEAD: Final = 16
_AHEAD_OF_FILE: Final = 4
# So many bytes they may be together, unless they are two only: large pictures fill memory.
_AHEAD_BYTES: Final = 64 * 1024 * 1024
_AHEAD_LEAST: Final = 2
_CLOSE_S: Final = 1.0
_RETRY_S: Final = 0.1


class AvSource:
    """Implements ``Source``. A thread of its own reads and decodes, a few frames ahead.

    The thread is what lets ``close`` end a ``read`` that waits for a silent peer: libav
    offers no way to cut one of its reads short without losing its place. If the peer says
    nothing at all, the thread outlives ``close`` by at most ``stall_s``; it is a daemon and
    passes nothing on.

    ``comeback_s``: how long a publisher that left may take to come back. ``answer_s``: how
    long a server may take to answer. ``stall_s``: how long a live source may say nothing.
    ``coded``: where to note how pictures came, for a sink that passes them on so; with
    ``decodes`` left out only. ``decodes``: what opens and decodes; in this process when None.
    """

    def __init__(
        self,
        address: Address,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
        comeback_s: float = 30.0,
        answer_s: float = 10.0,
        stall_s: float = 10.0,
        coded: CodedPictures | None = None,
        decodes: Decodes | None = None,
    ) -> None:
        self._address = address
        self._clock = clock
        self._comeback_s = comeback_s
        self._answer_s = answer_s
        self._stall_s = stall_s
        self._decodes: Decodes = decodes or Inside(coded)
        self._coded = coded
        self._tally = Tally()
        self._flow = Flow(self._tally)
        self._changed = threading.Condition()
        self._queue: deque[Frame] = deque()
        self._info: SourceInfo | None = None
        self._end: BaseException | None = None
        self._back_by_s: float | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    # --- what the session's thread calls ----------------------------------------------------

    def open(self) -> SourceInfo:
        """Open it and wait for the first picture; a listener waits for its publisher.

        Raises:
            SourceError: it cannot be opened, or holds no video that can be guarded.
            EndOfStream: it was closed while it waited.
        """
        if self._thread is not None:
            raise SourceError(f"{self._address.shown} is open already", "open it once")
        self._thread = threading.Thread(target=self._run, name="safelight-source", daemon=True)
        self._thread.start()
        # A backstop only: libav's own timeouts, one for each of three steps, come first.
        patience = None
        if self._address.kind not in (Kind.LISTEN, Kind.FILE, Kind.LAVFI):
            patience = 3 * self._answer_s + self._stall_s
        with self._changed:
            settled = self._changed.wait_for(
                lambda: bool(self._queue) or self._end is not None or self._closed, patience
            )
            if self._closed:
                raise EndOfStream
            if not settled:
                raise SourceError(
                    f"cannot open {self._address.shown}: it does not answer", "check the address"
                )
            if self._queue and self._info is not None:
                return self._info
            raise self._end or EndOfStream()

    def read(self) -> Frame:
        """Return the next frame.

        ``arrived_ns`` is when it was decoded, by ``clock``.

        Raises:
            EndOfStream: it ended, or was closed.
            SourceLostError: it broke off.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: bool(self._queue) or self._end is not None or self._closed
            )
            if self._closed:
                raise EndOfStream
            if self._queue:
                frame = self._queue.popleft()
                self._changed.notify_all()
                return frame
            raise self._end or EndOfStream()

    @property
    def dropped(self) -> tuple[DroppedStream, ...]:
        """What was not passed on so far."""
        return self._tally.dropped()

    @property
    def back_within_s(self) -> float | None:
        """How long a publisher who left has to come back yet; None while it is there."""
        by_s = self._back_by_s
        return None if by_s is None else max(0.0, by_s - time.monotonic())

    def begins(self, picture: Picture) -> bool:
        """Whether ``picture`` is one that a stream may as well begin with."""
        return self._coded is None or self._coded.begins(picture)

    def cpu_seconds(self) -> float:
        """CPU time of the processes that decode for it, in seconds; 0 where none does."""
        return self._decodes.cpu_seconds()

    def close(self) -> None:
        """Let go of it. Safe to call twice, and from another thread while ``read`` blocks."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._changed.notify_all()
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return
        self._decodes.interrupt()
        until = time.monotonic() + _CLOSE_S
        while thread.is_alive() and time.monotonic() < until:
            if self._address.kind is Kind.LISTEN:
                self._knock()
            thread.join(0.05)

    # --- the reading thread -------------------------------------------------------------------

    def _run(self) -> None:
        end: BaseException
        try:
            for frame in self._frames():
                if not self._pass_on(frame):
                    break
            end = EndOfStream()
        except SafelightError as error:
            end = error
        except BaseException as error:  # noqa: BLE001
            # A defect of ours: ``read`` raises it, so that nothing goes on as if all were well.
            end = error
        with self._changed:
            self._end = end
            self._changed.notify_all()

    def _pass_on(self, frame: Frame) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._has_room(frame) or self._closed)
            if self._closed:
                return False
            self._queue.append(frame)
            self._changed.notify_all()
            return True

    def _has_room(self, frame: Frame) -> bool:
        waiting = len(self._queue)
        if waiting < _AHEAD_LEAST:
            return True
        size = sum(map(_size, self._queue)) + _size(frame)
        most = _AHEAD_OF_FILE if self._address.kind is Kind.FILE else _AHEAD
        return waiting < most and size <= _AHEAD_BYTES

    def _frames(self) -> Iterator[Frame]:
        if self._address.kind is not Kind.LISTEN:
            yield from self._frames_of(self._open(None))
            return
        deadline: float | None = None
        while not self._closed:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return
            try:
                opened = self._open(left)
            except TimeoutError:
                return
            except PublisherLeftError:
                # Someone knocked and went, or spoke something else. Keep listening.
                time.sleep(_RETRY_S)
                continue
            except SourceError as error:
                if self._info is None:
                    raise
                raise SourceLostError(error.what, error.hint) from error
            came = False
            with contextlib.suppress(PublisherLeftError):
                for frame in self._frames_of(opened):
                    came = True
                    self._back_by_s = None
                    yield frame
            if came:
                deadline = self._back_by_s = time.monotonic() + self._comeback_s
                self._flow.source_came_back()

    def _open(self, accept_s: float | None) -> Decoding:
        info = self._info
        return self._decodes.open(
            Order(
                self._address,
                live=self._live,
                answer_s=self._answer_s,
                stall_s=self._stall_s,
                accept_s=accept_s,
                told=None
                if info is None
                else ToldSound(info.sound_rate or 0, info.sound_channels or 0),
            ),
            self._tally,
        )

    def _frames_of(self, decoding: Decoding) -> Iterator[Frame]:
        try:
            for decoded in decoding:
                arrived_ns = self._clock()
                if self._info is None and isinstance(decoded.content, Picture):
                    self._info = decoding.describe(decoded.content.format)
                if self._info is not None and isinstance(decoded.content, Picture):
                    _check_colours(self._info.format, decoded.content.format)
                yield from self._flow.frames(decoded, arrived_ns)
        except (UnreadableError, UnfitPictureError) as error:
            raise self._failure(error) from error
        except ValueError as error:
            raise self._failure(unreadable()) from error
        finally:
            decoding.close()
        if self._info is None and self._address.kind is not Kind.LISTEN:
            raise SourceError(f"{self._address.shown} holds no picture", "record it again")

    def _failure(self, error: UnreadableError | UnfitPictureError) -> Exception:
        if self._address.kind is Kind.LISTEN and getattr(error, "broke_off", False):
            return PublisherLeftError()
        kind: type[SourceError | LostError] = SourceError if self._info is None else SourceLostError
        return kind(f"{self._address.shown}: {error.what}", error.hint)

    @property
    def _live(self) -> bool:
        if self._address.kind is Kind.LAVFI:
            # A graph runs as fast as it is read, unless it says otherwise.
            return "realtime" in self._address.target
        return self._address.kind is not Kind.FILE

    def _knock(self) -> None:
        """Connect to our own listener and hang up: that ends its wait for a publisher."""
        anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
        host = self._address.host or ""
        where = (anywhere.get(host, host), self._address.port or 0)
        # Nobody may be listening any more, which is what is wanted.
        with contextlib.suppress(OSError), socket.create_connection(where, timeout=0.2):
            pass


def _size(frame: Frame) -> int:
    content = frame.content
    if isinstance(content, Picture):
        return content.y.nbytes + content.u.nbytes + content.v.nbytes
    return content.samples.nbytes


def _check_colours(opened: PictureFormat, now: PictureFormat) -> None:
    """A sink says once which colours it holds: others would be shown as another picture."""
    if (now.matrix, now.primaries, now.transfer) != (
        opened.matrix,
        opened.primaries,
        opened.transfer,
    ):
        raise UnfitPictureError(
            "its colour space (matrix, primaries or transfer) changed in mid-stream",
            "re-encode it with one, or guard each part by itself",
        )
