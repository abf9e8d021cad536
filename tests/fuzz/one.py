"""One target in this process: ``python -m tests.fuzz.one NAME FILE...`` runs it on inputs.

With ``--mutated SEED`` instead of files: on its seeds and mutations of them. With
``--atheris ...``: under atheris, with libFuzzer's own options after it.
"""

from __future__ import annotations

import random
import resource
import sys
from pathlib import Path
from typing import Any

from tests.fuzz import targets
from tests.fuzz.mutate import ODD, mutate, mutated
from tests.fuzz.target import Target


def main(arguments: list[str]) -> None:
    name, *rest = arguments
    if rest[:1] == ["--atheris"]:
        under_atheris(name, rest[1:])
        return
    target = targets.load(name)
    limit_memory(target)
    if rest[:1] == ["--mutated"]:
        for data in mutated(target, int(rest[1])):
            try:
                target.run(data)
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


def limit_memory(target: Target) -> None:
    """Beyond what is mapped already: an input that wants more gets a MemoryError."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    size = pages * resource.getpagesize() + (target.rss_mb << 20)
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


if __name__ == "__main__":
    main(sys.argv[1:])
