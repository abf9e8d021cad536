"""A guard with one violation planted in it: the audit has to see each.

``python -m tests.audit.planted WHAT guard SOURCE SINK …`` runs the real command line with one
thing changed. Never part of the package.
"""

from __future__ import annotations

import functools
import os
import socket
import sys
from collections.abc import Callable
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any, Final

from PIL import Image

from safelight import opening, public
from safelight.cli import entry
from safelight.judge import exchange, ring, supervisor
from safelight.sealing import programs
from safelight.types import Picture

_kept: list[object] = []


def _with_each_picture(act: Callable[[int, Picture], None]) -> None:
    """Have something done with every picture on its way to the judge."""
    honest = ring.Ring.write
    count = 0

    def write(self: ring.Ring, picture: Picture) -> int | None:
        nonlocal count
        count += 1
        act(count, picture)
        return honest(self, picture)

    ring.Ring.write = write  # type: ignore[method-assign]


def dump() -> None:
    """A debug dump of a frame, by a name that says nothing, then small and as JPEG."""

    def act(count: int, picture: Picture) -> None:
        if count % 10 == 5:
            folder = Path(os.environ["TMPDIR"])
            image = Image.fromarray(picture.y).resize((320, 180))
            image.save(folder / f"cache-{count}.bin", format="jpeg", quality=70)

    _with_each_picture(act)


def score() -> None:
    """A log line with a score."""
    honest = exchange.Exchange.take

    def take(self: exchange.Exchange) -> Any:
        answer = honest(self)
        sys.stderr.write(f"answer {getattr(answer.evidence, 'sexual', None)} sexual\n")
        return answer

    exchange.Exchange.take = take  # type: ignore[method-assign]


def shm() -> None:
    """A shared memory segment with a name, with a picture in it, gone at the end."""
    segment = shared_memory.SharedMemory(create=True, size=1 << 20)  # its tracker removes it
    _kept.append(segment)

    def act(count: int, picture: Picture) -> None:
        if segment.buf is not None:
            segment.buf[: picture.y.size] = picture.y.tobytes()

    _with_each_picture(act)


def connection() -> None:
    """A second connection by the guard."""

    def act(count: int, picture: Picture) -> None:
        if count == 3:
            where = int(os.environ["PLANTED_PORT"])
            _kept.append(socket.create_connection(("127.0.0.1", where)))

    _with_each_picture(act)


def worker(what: str) -> None:
    """Another program for the judge, whose sandbox is weak."""
    os.environ["PLANTED"] = what
    kept = (*programs._KEPT, "PLANTED", "HOME", "TMPDIR")
    vars(programs)["_KEPT"] = kept
    vars(opening)["ProcessJudge"] = functools.partial(
        supervisor.ProcessJudge, worker="tests.audit.planted_worker"
    )


PLANTS: Final[dict[str, Callable[[], None]]] = {
    "nothing": lambda: None,
    "dump": dump,
    "score": score,
    "shm": shm,
    "connection": connection,
    "socket": lambda: worker("socket"),
    "core": lambda: worker("core"),
    "telemetry": lambda: worker("telemetry"),
    "quiet_worker": lambda: worker("nothing"),
}


def main() -> None:
    what = sys.argv.pop(1)
    PLANTS[what]()
    if what == "core":
        public.hide_this_process = lambda: ()
    if what in {"socket", "core", "telemetry"}:
        sys.argv.append("--allow-weak-sandbox")
    entry.main()


if __name__ == "__main__":
    main()
