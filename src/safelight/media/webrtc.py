"""Guarded tracks for aiortc: what goes in is judged, what comes out may leave.

One event loop belongs to a call; frames cross from it to the guard's threads and back, and
neither ever waits for the other.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

import av

from safelight.errors import SinkLostError, SourceLostError, UsageError
from safelight.media.interface import Sink, Source
from safelight.media.webrtc_extra import missing
from safelight.media.webrtc_heard import HeardTrack
from safelight.media.webrtc_sink import TrackSink
from safelight.media.webrtc_source import TrackSource

try:
    from aiortc import MediaStreamTrack
    from aiortc.mediastreams import MediaStreamError
except ImportError as error:
    raise missing() from error

_MOST: Final = {"video": 3, "audio": 25}  # frames that wait for whoever sends or shows them


class GuardedTrack(MediaStreamTrack):
    """One track that leaves a guard. ``recv`` raises once the guard has stopped."""

    def __init__(self, kind: str, stopped: Callable[[], None]) -> None:
        super().__init__()
        self.kind = kind
        self._stopped = stopped
        self._home = asyncio.get_running_loop()
        self._came = asyncio.Event()
        self._lock = threading.Lock()
        self._frames: deque[av.VideoFrame | av.AudioFrame] = deque(maxlen=_MOST[kind])
        self._over = False
        self._left_behind = 0

    @property
    def left_behind(self) -> int:
        """How many frames nobody took in time. They were judged; they are gone."""
        return self._left_behind

    def put(self, frame: av.VideoFrame | av.AudioFrame) -> None:
        """Take a frame that may leave; the oldest goes where too many wait.

        Raises:
            SinkLostError: the call's event loop is gone.
        """
        with self._lock:
            if self._over:
                return
            self._left_behind += len(self._frames) == self._frames.maxlen
            self._frames.append(frame)
        if not self._wake():
            raise SinkLostError("the call's event loop has ended", "close the call first")

    def finish(self) -> None:
        """Nothing more leaves, not even what waits."""
        with self._lock:
            self._over = True
            self._frames.clear()
        self._wake()

    def _wake(self) -> bool:
        try:
            self._home.call_soon_threadsafe(self._came.set)
        except RuntimeError:
            return False  # it is closed: nobody waits
        return True

    async def recv(self) -> av.VideoFrame | av.AudioFrame:
        """Return the next frame that may leave.

        Raises:
            MediaStreamError: the guard has stopped, or the track was.
        """
        while True:
            self._came.clear()
            with self._lock:
                over = self._over or self.readyState != "live"
                frame = self._frames.popleft() if self._frames and not over else None
            if over:
                self.stop()
                raise MediaStreamError
            if frame is not None:
                return frame
            await self._came.wait()

    def stop(self) -> None:
        """Stop the track; with the picture's, its direction of the call ends."""
        if self.readyState == "live":
            super().stop()
            self.finish()
            self._stopped()


class Tracks:
    """The tracks of one direction: in as a ``Source``, out as a ``Sink`` and two tracks.

    It is made, and tracks are taken in, on the call's event loop.
    """

    def __init__(self, closed: Callable[[], None]) -> None:
        self._source = TrackSource()
        self._out = {
            "video": GuardedTrack("video", closed),
            "audio": GuardedTrack("audio", lambda: None),
        }
        self._sink = TrackSink(self._out["video"], self._out["audio"])
        # Kept until the tracks end by themselves: what nobody reads would fill the memory.
        self._pulls: dict[str, asyncio.Task[None]] = {}

    @property
    def source(self) -> Source:
        """What is to be judged."""
        return self._source

    @property
    def sink(self) -> Sink:
        """Where what may leave goes."""
        return self._sink

    def take(self, track: MediaStreamTrack) -> MediaStreamTrack:
        """Read this track from now on, and return the one that leaves in its place.

        Raises:
            UsageError: it is no track of pictures or sound, or there is one already.
        """
        kind = track.kind
        if kind not in self._out:
            raise UsageError("this track holds neither pictures nor sound", "leave it as it is")
        if kind in self._pulls:
            raise UsageError(
                f"this stream has a track of {kind} already", "give each stream a name of its own"
            )
        self._pulls[kind] = asyncio.ensure_future(self._pull(track))
        return self._out[kind]

    async def _pull(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                if not isinstance(frame, av.VideoFrame | av.AudioFrame):
                    what = "a track gave something encoded, which cannot be judged"
                    self._source.fail(SourceLostError(what, "give a track of decoded frames"))
                    return
                ahead_ns = track.ahead_ns if isinstance(track, HeardTrack) else None
                self._source.offer(frame, ahead_ns)
        except (MediaStreamError, asyncio.CancelledError):
            if track.kind == "video":
                self._source.end()
        except Exception as error:  # noqa: BLE001  (fails closed: nothing more leaves)
            what = f"a track broke ({type(error).__name__})"
            self._source.fail(SourceLostError(what, "see whether it plays by itself"))
