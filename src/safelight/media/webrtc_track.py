"""A track that passes on what another gives, for those that take note of something besides."""

from __future__ import annotations

from typing import Any

import av

from safelight.media.webrtc_extra import missing

try:
    from aiortc import MediaStreamTrack
    from aiortc.mediastreams import MediaStreamError
except ImportError as error:
    raise missing() from error


class PassingTrack(MediaStreamTrack):
    """Gives the frames of ``track`` as they come; ends with it, and it with this."""

    def __init__(self, track: MediaStreamTrack) -> None:
        super().__init__()
        self.kind = track.kind
        self._track = track

    async def recv(self) -> av.VideoFrame | av.AudioFrame:
        """Return the next frame.

        Raises:
            MediaStreamError: the track has ended.
        """
        if self.readyState != "live":
            raise MediaStreamError
        frame: Any = await self._track.recv()
        if not isinstance(frame, av.VideoFrame | av.AudioFrame):
            raise MediaStreamError  # nothing encoded goes through a guard
        return frame

    def stop(self) -> None:
        """Stop it, and what it takes from."""
        super().stop()
        self._track.stop()
