"""Flip random bits of bundles and count what a verification makes of it.

Usage: python tools/flip_bits.py [COUNT]    (100,000 when not said; some minutes)

Nineteen in twenty flips hit a pulled stand-in bundle with a chain of two roots, the rest a
copy of the default bundle and the networks that it takes from packages. Exit status 1 if any
flip changed what would judge.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.bundle import flips
from tests.bundle.rehearsal import Rehearsal, judging

from safelight.bundle import trust, update


def main() -> int:
    """Run and print the figures."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
    with tempfile.TemporaryDirectory(dir=memory) as name:
        folder = Path(name)
        theirs = Rehearsal(folder)
        theirs.next_root()
        theirs.offer(2)
        update.pull(str(theirs.path), folder / "place", test=True)
        default = folder / "default"
        shutil.copytree(trust.default_folder(), default)
        bad = 0
        for place, share in ((folder / "place", count - count // 20), (default, count // 20)):
            before = judging(place) if (place / "current").exists() else None
            began = time.monotonic()
            tally = flips.flip(place, share, seed=share)
            took = time.monotonic() - began
            print(f"{place.name}: {share:,} flips in {took:.0f} s:", end=" ")
            print(
                f"{tally.refused:,} refused, {tally.same:,} verified and changed nothing,", end=" "
            )
            print(f"{len(tally.changed)} changed what judges")
            for path, hits in sorted(tally.files.items()):
                print(f"    {hits:>7,}  {path}")
            bad += len(tally.changed)
            bad += before is not None and judging(place) != before
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
