"""``make fuzz``: every target under atheris, each in a process of its own; a table at the end.

Inputs that found something lie in ``build/fuzz/findings/NAME/``, what libFuzzer said in
``build/fuzz/NAME.log``; ``build/fuzz/corpus/NAME/`` grows from run to run.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fuzz import targets
from tests.source import ROOT

BUILD: Final = ROOT / "build" / "fuzz"
# libFuzzer's exit statuses.
_HUNG: Final = 70
_TOO_LARGE: Final = 71
# It looks at the clock between inputs: what is longer over than this hangs outside of them.
_PATIENCE_S: Final = 90


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one target's run came to."""

    name: str
    runs: int
    per_s: int
    edges: int
    new_edges: int
    crashes: int
    hangs: int
    releases: int
    rss_mb: int

    @property
    def clean(self) -> bool:
        return self.runs > 0 and not (self.crashes or self.hangs or self.releases)


def run_target(name: str, seconds: int, build: Path = BUILD, seed: int = 0) -> Outcome:
    """Run one target for so many seconds, or until it finds something."""
    target = targets.load(name)
    corpus, findings = build / "corpus" / name, build / "findings" / name
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(target.seeds()):
        (corpus / f"seed-{number:03}").write_bytes(data)
    log = build / f"{name}.log"
    options = {
        "max_total_time": seconds,
        "timeout": target.timeout_s,
        "rss_limit_mb": target.rss_mb,
        "max_len": target.max_len,
        "seed": seed or 1,
        "print_final_stats": 1,
        "detect_leaks": 0,
        "artifact_prefix": f"{findings}/",
    }
    command = [sys.executable, "-m", "tests.fuzz.one", name, "--atheris"]
    command += [f"-{key}={value}" for key, value in options.items()]
    status = _run([*command, str(corpus)], log, seconds + _PATIENCE_S)
    return _outcome(name, log.read_text(encoding="utf-8", errors="replace"), status)


def _run(command: list[str], log: Path, patience_s: int) -> int | None:
    """Return the exit status, None if it had to be ended."""
    # libFuzzer ends without a word to Python, so its folder is ours to remove. In memory,
    # where there is such a place: a run writes thousands of small files.
    shared = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
    with log.open("wb") as file, tempfile.TemporaryDirectory(dir=shared) as folder:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "TMPDIR": folder},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            return process.wait(patience_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            process.kill()
            process.wait()


def _outcome(name: str, said: str, status: int | None) -> Outcome:
    def stat(key: str) -> int:
        found = re.search(rf"^stat::{key}: +(\d+)", said, re.MULTILINE)
        return int(found[1]) if found else 0

    edges = [int(count) for count in re.findall(r"^#\d+\s.* cov: (\d+)", said, re.MULTILINE)]
    began = re.search(r"^#\d+\s+INITED cov: (\d+)", said, re.MULTILINE)
    hung = status in (None, _HUNG)
    release = not hung and bool(re.search(r"^[\w.]*ReleaseError\b", said, re.MULTILINE))
    return Outcome(
        name,
        runs=stat("number_of_executed_units"),
        per_s=stat("average_exec_per_sec"),
        edges=max(edges, default=0),
        new_edges=max(edges, default=0) - int(began[1]) if began else 0,
        # Too much memory counts as a crash: that is how it would end.
        crashes=int(status != 0 and not hung and not release),
        hangs=int(hung),
        releases=int(release),
        rss_mb=stat("peak_rss_mb"),
    )


_HEAD: Final = ("target", "runs", "runs/s", "edges", "new", "crashes", "hangs", "releases", "MB")


def table(outcomes: list[Outcome]) -> str:
    rows: list[tuple[str, ...]] = [_HEAD]
    for o in outcomes:
        numbers = (o.runs, o.per_s, o.edges, o.new_edges, o.crashes, o.hangs, o.releases, o.rss_mb)
        rows.append((o.name, *(f"{number:,}" for number in numbers)))
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEAD))]
    lines = [
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.long", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("targets", nargs="*", default=targets.NAMES, metavar="TARGET")
    given = parser.parse_args(arguments)
    outcomes: list[Outcome] = []
    for name in given.targets:
        print(f"{name}: {given.seconds} s", file=sys.stderr)  # noqa: T201
        outcomes.append(run_target(name, given.seconds, seed=given.seed))
    print(table(outcomes))  # noqa: T201
    for o in outcomes:
        if not o.clean:
            print(f"{o.name}: see {BUILD / o.name}.log and {BUILD}/findings/{o.name}/")  # noqa: T201
    return 0 if all(o.clean for o in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
