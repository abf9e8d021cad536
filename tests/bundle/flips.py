"""Flips single bits of a bundle, one after the other, and looks at what would judge then."""

from __future__ import annotations

import dataclasses
import datetime
import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from safelight.bundle import reading, trust
from safelight.bundle.manifest import InPackage
from safelight.errors import BundleError
from safelight.types import VerifiedBundle

TODAY = datetime.date(2026, 11, 22)


@dataclass
class Tally:
    """``same``: it still verified, and everything that judges was as before."""

    refused: int = 0
    same: int = 0
    changed: list[str] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)


def same(one: VerifiedBundle, other: VerifiedBundle) -> bool:
    """Whether two bundles are alike in every field: manifest, files, purpose, views and all."""
    names = [known.name for known in dataclasses.fields(one) if known.name != "mint"]
    return all(getattr(one, name) == getattr(other, name) for name in names)


def flip(place: Path, count: int, seed: int) -> Tally:
    """Flip ``count`` random bits, in every file that a verification of ``place`` reads.

    A file is chosen first, then a bit in it, so that short metadata is hit as often as a
    large network. Files in packages are flipped where they are read, the others on disk.
    """
    dice = random.Random(seed)  # noqa: S311  (which bits to try)
    whole = trust.verify(place, allow_test=True, today=TODAY)
    on_disk = sorted(p for p in place.rglob("*") if p.is_file() and "trusted" not in p.parts)
    on_disk = [path for path in on_disk if not path.name.startswith(".")]
    where = trust.current_folder(place)
    read = [path for path in on_disk if path.parent == place or path.is_relative_to(where)]
    packaged = sorted(
        (file.source.package, file.source.path)
        for file in trust.describe(place).files.values()
        if isinstance(file.source, InPackage)
    )
    targets: list[Path | tuple[str, str]] = [*read, *packaged]
    tally = Tally()
    for _ in range(count):
        target = dice.choice(targets)
        if isinstance(target, Path):
            doing = flipped_on_disk(target, dice)
            name = str(target.relative_to(place))
        else:
            doing = flipped_when_read(target, dice)
            name = "/".join(target)
        tally.files[name] = tally.files.get(name, 0) + 1
        with doing as bit:
            try:
                got = trust.verify(place, allow_test=True, today=TODAY)
            except BundleError:
                tally.refused += 1
                continue
            if same(whole, got):
                tally.same += 1
            else:
                tally.changed.append(f"{name} bit {bit}")
    return tally


@contextmanager
def flipped_on_disk(path: Path, dice: random.Random) -> Iterator[int]:
    """One bit of a file is another inside the block."""
    bit = dice.randrange(path.stat().st_size * 8)
    handle = os.open(path, os.O_RDWR)
    try:
        before = os.pread(handle, 1, bit // 8)
        os.pwrite(handle, bytes([before[0] ^ (1 << bit % 8)]), bit // 8)
        yield bit
        os.pwrite(handle, before, bit // 8)
    finally:
        os.close(handle)


@contextmanager
def flipped_when_read(target: tuple[str, str], dice: random.Random) -> Iterator[int]:
    """One bit of a package's file is another inside the block; the package is not touched."""
    plain = reading.open_packaged
    with os.fdopen(plain(*target), "rb") as file:
        content = bytearray(file.read())
    bit = dice.randrange(len(content) * 8)
    content[bit // 8] ^= 1 << bit % 8

    def damaged(package: str, path: str) -> int:
        if (package, path) != target:
            return plain(package, path)
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            return os.dup(file.fileno())

    trust.open_packaged = damaged  # type: ignore[attr-defined]
    try:
        yield bit
    finally:
        trust.open_packaged = plain  # type: ignore[attr-defined]
