"""``python -m tests.faults``: inject faults by the thousand, count what leaks (``make faults``)."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.faults import campaign


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--faults", type=int, default=10_000, help="with a stub detector")
    parser.add_argument("--real", type=int, default=500, help="with the real detectors")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=6, help="streams at a time; they mostly wait")
    parser.add_argument("--only", help="run one stream again: SEED/stub/N as it was named")
    parser.add_argument("--json", type=Path, help="write the counts here too")
    asked = parser.parse_args()
    if asked.only:
        seed, kind, _ = asked.only.split("/")
        of = asked.real if kind == "real" else asked.faults
        named = campaign.tasks(int(seed), of, real=kind == "real")
        outcome = campaign.do(next(task for task in named if task.seed == asked.only))
        print(outcome)
        return 1 if outcome.leaks or outcome.broken else 0
    began_s = time.monotonic()
    stub = campaign.run(asked.seed, asked.faults, real=False, jobs=asked.jobs)
    if asked.faults:
        print(campaign.table(stub, "With a stub detector"), flush=True)
    real = campaign.run(asked.seed, asked.real, real=True, jobs=min(asked.jobs, 2))
    if asked.real:
        print(campaign.table(real, "With the real detectors"))
    print(f"Seed {asked.seed}; {time.monotonic() - began_s:.0f} s.")
    if asked.json:
        asked.json.write_text(campaign.dumps(stub, real, asked.seed), encoding="utf-8")
    found = [*stub.leaks, *real.leaks, *stub.broken, *real.broken]
    for line in found:
        print(f"FOUND {line}", file=sys.stderr)
    if found:
        print(f"again: python -m tests.faults --only {found[0].split(' ')[0]}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
