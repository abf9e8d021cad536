"""A guard with one violation planted in it: the audit has to see each.

``python -m tests.audit.planted WHAT guard SOURCE SINK …`` runs the real command line with one
thing changed. Never part of the package.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import socket
import sys
from collections.abc import Callable
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any, Final

from PIL import Image

from safelight import events, judging, public
from safelight.cli import entry
from safelight.judge import exchange, ring, supervisor
from safelight.sealing import kernel, programs
from safelight.types import Picture, VerifiedBundle

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


def _with_each_score(act: Callable[[float], object]) -> None:
    """Have something done with every score that the judge gives."""
    honest = exchange.Exchange.take

    def take(self: exchange.Exchange) -> Any:
        answer = honest(self)
        found = getattr(getattr(answer, "evidence", None), "sexual", None)
        if found is not None:
            act(found)
        return answer

    exchange.Exchange.take = take  # type: ignore[method-assign]


def score() -> None:
    """A log line with a score."""
    _with_each_score(lambda found: sys.stderr.write(f"answer {found} sexual\n"))


def title() -> None:
    """A score as the name of a thread, which every user of the machine can read."""
    _with_each_score(lambda found: kernel.set_name(f"s{round(found * 1e4):05d}"))


def line() -> None:
    """A score in the place of the command line, which every user can read."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])

    def act(found: float) -> None:
        said = f"{found:.6f}".encode()
        ctypes.memmove(start, said.ljust(end - start, b"\0"), end - start)

    _with_each_score(act)


def times() -> None:
    """A score as the time of a file that the user named."""
    named = sys.argv[sys.argv.index("--events") + 1]
    _with_each_score(lambda found: os.utime(named, (found * 1e6, found * 1e6)))


def digest() -> None:
    """What identifies a picture, in the text of an event."""
    last = ""

    def act(count: int, picture: Picture) -> None:
        nonlocal last
        last = hashlib.blake2b(picture.y.tobytes(), digest_size=8).hexdigest()

    _with_each_picture(act)
    honest = events.StreamEvent.as_json

    def as_json(self: events.StreamEvent) -> dict[str, object]:
        said = honest(self)
        return {**said, "text": f"{said['text']} ({last})"}

    events.StreamEvent.as_json = as_json  # type: ignore[method-assign]


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

    class Planted(supervisor.ProcessJudge):
        def __init__(
            self, bundle: VerifiedBundle, *, allow_weak: bool, first_look_below: float
        ) -> None:
            super().__init__(
                bundle,
                allow_weak=allow_weak,
                first_look_below=first_look_below,
                worker="tests.audit.planted_worker",
            )

    vars(judging)["ProcessJudge"] = Planted


PLANTS: Final[dict[str, Callable[[], None]]] = {
    "nothing": lambda: None,
    "dump": dump,
    "score": score,
    "title": title,
    "line": line,
    "times": times,
    "digest": digest,
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
