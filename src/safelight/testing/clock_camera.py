"""A camera for benches, in a process of its own: a drawn scene with a time code in each picture.

``python -m safelight.testing.clock_camera TO WIDTH HEIGHT RATE SECONDS``. TO is an address
(``rtmp://…``, ``rtp://…``, H.264 without delay) or ``-``: raw I420 to standard output.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import av
import numpy as np
from av.container import OutputContainer
from av.error import FFmpegError
from numpy.typing import NDArray

from safelight.testing import timecode

_WAIT_S: Final = 20.0
_OPTIONS: Final = {"preset": "ultrafast", "tune": "zerolatency", "crf": "20"}


def send(to: str, size: tuple[int, int], rate: int, seconds: float) -> None:
    """Show it for ``seconds``, or until nobody takes it any more.

    Raises:
        OSError: nobody listened in time.
    """
    if to == "-":
        _raw(timecode.paced(size, rate, seconds))
        return
    container = _connected(to, size, rate)
    stream = container.streams.video[0]
    # Whoever listened may hang up first: it has seen enough.
    with contextlib.suppress(FFmpegError, OSError):
        for index, rgb in enumerate(timecode.paced(size, rate, seconds)):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.close()


def _connected(to: str, size: tuple[int, int], rate: int) -> OutputContainer:
    until_s = time.monotonic() + _WAIT_S
    form = "rtp" if to.startswith("rtp:") else "flv"
    while True:
        container = av.open(to, "w", format=form)
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        # A key frame a second, as services ask for.
        stream.options = {**_OPTIONS, "g": str(rate), "x264-params": "repeat-headers=1"}
        try:
            container.start_encoding()
        except (FFmpegError, OSError):
            if time.monotonic() > until_s:
                raise
            time.sleep(0.1)
        else:
            return container


def _raw(pictures: Iterator[NDArray[np.uint8]]) -> None:
    out = sys.stdout.buffer
    with contextlib.suppress(BrokenPipeError):
        for rgb in pictures:
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
            out.write(frame.to_ndarray().tobytes())
            out.flush()


if __name__ == "__main__":
    send(sys.argv[1], (int(sys.argv[2]), int(sys.argv[3])), int(sys.argv[4]), float(sys.argv[5]))
