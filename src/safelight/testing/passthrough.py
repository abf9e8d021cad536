"""What a guard is compared with: no guard at all, and a classifier as it is used today."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import av

CRF: Final = 20  # as the guard's own files
THREADS: Final = 2

# Takes uint8 RGB (height, width, 3); says whether it is sensitive.
Classify = Callable[[Any], bool]


def decode(source: Path) -> int:
    """Decode a film's pictures and return how many.

    Raises:
        OSError: it cannot be read.
    """
    return sum(1 for _ in _frames(source))


def passthrough(source: Path, sink: Path, *, crf: int = CRF, threads: int = THREADS) -> int:
    """Decode a film's pictures, encode them as the guard does, and return how many.

    Raises:
        OSError: one of them cannot be read or written.
    """
    return sample(source, sink, None, every=1, crf=crf, threads=threads)[0]


def sample(
    source: Path,
    sink: Path,
    classify: Classify | None,
    *,
    every: int,
    crf: int = CRF,
    threads: int = THREADS,
) -> tuple[int, list[int]]:
    """Let a film pass, and classify every so many frames beside it, as moderation does.

    A frame is on its way when it is classified; what comes after one that is sensitive is
    covered (not encoded here, so it costs nothing) until one that is looked at is not.

    Returns:
        How many frames there were, and the numbers of those that left.

    Raises:
        OSError: the film cannot be read, or the other not be written.
    """
    count, left = 0, []
    covering = False
    with av.open(str(sink), "w", format="mp4") as out:
        stream: Any = None
        for frame in _frames(source):
            if stream is None:
                stream = out.add_stream("libx264", rate=frame_rate(source))
                stream.width, stream.height = frame.width, frame.height
                stream.pix_fmt = "yuv420p"
                stream.codec_context.thread_count = threads
                stream.options = {"preset": "veryfast", "crf": str(crf)}
            if not covering:
                out.mux(stream.encode(frame.reformat(format="yuv420p")))
                left.append(count)
            if classify is not None and count % every == 0:
                covering = classify(frame.to_ndarray(format="rgb24"))
            count += 1
        if stream is not None:
            out.mux(stream.encode())
    return count, left


def frame_rate(source: Path) -> Any:
    """Return a film's frame rate."""
    with av.open(str(source)) as film:
        return film.streams.video[0].average_rate


def _frames(source: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(source)) as film:
        given = film.streams.video[0]
        given.thread_type = "AUTO"
        yield from film.decode(given)
