"""A Ray cluster of two workers, started and ended here, beside one process without it.

Run by test_ray.py in a network namespace of its own: Ray listens on every address there is.
Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.evaluation import planted
from tests.evaluation.namespace import loopback_up

from safelight.evaluation import evaluating, evaluation, on_ray
from safelight.evaluation.evaluating import Plan
from safelight.evaluation.manifest import Corpus, Item
from safelight.testing import scenes
from safelight.testing.film import Film

PORT = 36379
ADDRESS = f"127.0.0.1:{PORT}"


def corpus(folder: Path) -> Corpus:
    with Film(folder / "film.mp4", planted.SIZE, rate=10) as film:
        for index in range(14):
            film.add(scenes.scene(index / 10, planted.SIZE))
    said = {**planted.BASE, "stimulus": "none", "groups": {}, "cluster": "film", "file": "film.mp4"}
    drawn = [planted.item(i, "card" if i % 2 else None, "a") for i in range(3)]
    return planted.corpus(*drawn, Item.model_validate(said))


@contextmanager
def cluster(folder: Path) -> Iterator[int]:
    """Start a head with two workers; yield its process."""
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--port={PORT}",
        "--node-ip-address=127.0.0.1", "--num-cpus=2", "--include-dashboard=false",
        "--object-store-memory=80000000", "--disable-usage-stats", f"--temp-dir={folder}",
    ]  # fmt: skip
    with (folder / "out.txt").open("wb") as out:
        running = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            until = time.monotonic() + 120
            while time.monotonic() < until:
                try:
                    socket.create_connection(("127.0.0.1", PORT), 1).close()
                    break
                except OSError:
                    time.sleep(0.2)
            yield running.pid
        finally:
            running.terminate()
            running.wait(60)


def descendants(root: int) -> dict[int, str]:
    """Process -> its title, of all that a process started."""
    parents, titles = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text("utf-8", "replace")
                title = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rsplit(")", 1)[1].split()[1])
            titles[int(entry.name)] = title
    found: dict[int, str] = {}
    grew = {root}
    while grew:
        grew = {pid for pid, parent in parents.items() if parent in grew}
        found |= {pid: titles[pid] for pid in grew}
    return found


def kill_a_worker(head: int, killed: list[int]) -> None:
    """Wait for a worker that is at work, and end it without a word."""
    until = time.monotonic() + 200
    while time.monotonic() < until and not killed:
        for pid, title in descendants(head).items():
            if title.startswith("ray::work"):
                time.sleep(0.5)  # into its item
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                return
        time.sleep(0.1)


def figures(plan: Plan) -> dict[str, Any]:
    result = evaluation.of(evaluating.run(plan), "test")
    return result.model_dump(exclude={"timing"})


def main() -> None:
    loopback_up()
    said: dict[str, Any] = {}
    # Not below pytest's folder: the names of Ray's sockets may only be so long.
    with tempfile.TemporaryDirectory(prefix="safelight-ray-") as name:
        folder = Path(name)
        (folder / "corpus").mkdir()
        (folder / "ray").mkdir()
        alone = Plan(corpus(folder / "corpus"), folder / "corpus")
        expected = figures(alone)
        many = replace(alone, workers=on_ray.at(ADDRESS))
        with cluster(folder / "ray") as head:
            killed: list[int] = []
            killer = threading.Thread(target=kill_a_worker, args=(head, killed))
            killer.start()
            said["the numbers of one process"] = figures(many) == expected
            killer.join()
            said["killed"] = len(killed)
            mine = descendants(head)
        time.sleep(2)
        said["left behind"] = len([pid for pid in mine if Path(f"/proc/{pid}").exists()])
        said["faults"] = [fault["kind"] for fault in expected["faults"]]
        said["items"] = expected["corpus"]["used"]
    print(json.dumps(said))  # noqa: T201


if __name__ == "__main__":
    main()
