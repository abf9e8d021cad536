"""A publisher for loopback: sends a film's packets to an RTMP address as they are due.

``python -m safelight.testing.publish FILM ADDRESS [WAIT_S]`` does it in a process of its own,
so that what it costs is not counted with the guard; with ``on-line`` for a fourth, once a line
has come in, so that what it costs to start is over by then; not at all if none comes.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError


def publish(film: Path, address: str, *, wait_s: float = 15.0) -> None:
    """Send a film once, in real time; wait for somebody to listen first.

    Raises:
        OSError: nobody listened in time, or the connection broke off.
    """
    with av.open(str(film)) as source, _connect(address, source, wait_s) as sink:
        began = time.monotonic()
        first: float | None = None
        for packet in source.demux(video=0):
            if packet.dts is None or packet.time_base is None:
                continue
            due = float(packet.dts * packet.time_base)
            first = due if first is None else first
            time.sleep(max(0.0, began + due - first - time.monotonic()))
            packet.stream = sink.streams.video[0]
            sink.mux(packet)


def _connect(address: str, source: InputContainer, wait_s: float) -> OutputContainer:
    until = time.monotonic() + wait_s
    while True:
        sink = av.open(address, "w", format="flv")
        try:
            sink.add_stream_from_template(source.streams.video[0])
            sink.start_encoding()
        except (FFmpegError, OSError):
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return sink


if __name__ == "__main__":
    if sys.argv[4:] == ["on-line"] and not sys.stdin.readline():
        sys.exit()
    publish(Path(sys.argv[1]), sys.argv[2], wait_s=float((*sys.argv, "15")[3]))
