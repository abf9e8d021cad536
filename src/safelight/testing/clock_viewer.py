"""A screen for benches, in a process of its own: reads the time code of each picture it shows.

``python -m safelight.testing.clock_viewer FROM WIDTH HEIGHT SECONDS``. FROM is an RTMP address
at which it listens, or ``-``: raw I420 from standard input. Prints JSON (``Ages.figures``) once
it has watched for so long, or nothing more comes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Final

import av
import numpy as np
from av.error import FFmpegError

from safelight.testing.timecode import Ages
from safelight.types import Plane

# As a player does that is asked for little delay: no probing, one thread, nothing held back.
_OPTIONS: Final = {"listen": "1", "fflags": "nobuffer", "probesize": "32", "analyzeduration": "0"}


def watch(address: str, size: tuple[int, int], seconds: float) -> Ages:
    """Watch for ``seconds`` from the first picture on."""
    ages, until_s = Ages(), None
    for luma in _raw(size) if address == "-" else _rtmp(address):
        until_s = time.monotonic() + seconds if until_s is None else until_s
        ages.note(luma)
        if time.monotonic() > until_s:
            break
    return ages


def _rtmp(address: str) -> Iterator[Plane]:
    with av.open(address, "r", format="flv", options=_OPTIONS) as source:
        stream = source.streams.video[0]
        stream.thread_type, stream.thread_count = "NONE", 1
        stream.codec_context.flags |= av.codec.context.Flags.low_delay
        try:
            for frame in source.decode(stream):
                yield np.asarray(frame.to_ndarray(format="gray"))
        except (FFmpegError, OSError):
            return  # whoever published has left


def _raw(size: tuple[int, int]) -> Iterator[Plane]:
    width, height = size
    while True:
        data = sys.stdin.buffer.read(width * height * 3 // 2)
        if len(data) < width * height * 3 // 2:
            return
        yield np.frombuffer(data, np.uint8, width * height).reshape(height, width)


if __name__ == "__main__":
    found = watch(sys.argv[1], (int(sys.argv[2]), int(sys.argv[3])), float(sys.argv[4]))
    sys.stdout.write(json.dumps(found.figures()) + "\n")
