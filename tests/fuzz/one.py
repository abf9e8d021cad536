"""One target in this process: ``python -m tests.fuzz.one NAME FILE...`` runs it on inputs.

With ``--mutated SEED`` instead of files: on its seeds and mutations of them. With
``--atheris ...``: under atheris, with libFuzzer's own options after it.
"""

from __future__ import annotations

import random
import resource
import sys
from pathlib import Path
from typing import Any, Final

from tests.fuzz import targets
from tests.fuzz.mutate import ODD, mutate, mutated
from tests.fuzz.target import Target, check

_MOST_BYTES: Final = 8 << 30


def main(arguments: list[str]) -> None:
    name, *rest = arguments
    if rest[:1] == ["--atheris"]:
        under_atheris(name, rest[1:])
        return
    target = targets.load(name)
    before_kb = limit_memory()
    if rest[:1] == ["--mutated"]:
        for data in mutated(target, int(rest[1])):
            try:
                target.run(data)
                check_memory(target, before_kb)
            except BaseException as error:
                error.add_note(f"input: {data.hex()}")
                raise
    for file in rest if rest[:1] != ["--mutated"] else ():
        target.run(Path(file).read_bytes())


def under_atheris(name: str, options: list[str]) -> None:
    # Not at the top: inputs are run again, and tests run, where there is no atheris.
    import atheris

    fuzzer: Any = atheris
    with fuzzer.instrument_imports(include=["safelight", "tomllib"]):
        target = targets.load(name)
    seeds = target.seeds()
    words = (*target.words, *ODD)

    def mutator(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)  # noqa: S311  (repeatable, not secret)
        if rng.random() < 0.5:
            made: bytes = fuzzer.Mutate(data, max_size)
            return made
        return mutate(data, rng, words, seeds, text=target.text)[:max_size]

    fuzzer.Setup([name, *options], target.run, custom_mutator=mutator)
    fuzzer.Fuzz()


def limit_memory() -> int:
    """Keep this machine usable; return the most that was held so far, in KiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    size = pages * resource.getpagesize() + _MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def check_memory(target: Target, before_kb: int) -> None:
    """Raise when more was held at a time than the target may."""
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) >> 10
    check(grown_mb <= target.rss_mb, f"{grown_mb} MB for one input")


if __name__ == "__main__":
    main(sys.argv[1:])
