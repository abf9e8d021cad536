"""Promise 6: what was checked cannot be exchanged afterwards, though it lies on disk."""

from __future__ import annotations

import gc
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from safelight.bundle.pinned import KEPT_BYTES, PinnedFiles
from safelight.errors import BundleError

NAME = "network"
CONTENT = os.urandom(KEPT_BYTES * 5 + 17)


def pin(path: Path, content: bytes = CONTENT) -> PinnedFiles:
    files = PinnedFiles()
    handle = os.open(path, os.O_RDONLY)
    files.pin(NAME, handle, size=len(content), sha256=hashlib.sha256(content).hexdigest())
    return files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_bytes(CONTENT)
    return path


def test_it_reads_what_was_pinned(path: Path) -> None:
    files = pin(path)
    assert dict(files) == {NAME: CONTENT}
    assert NAME in files
    assert "another" not in files
    with pytest.raises(KeyError):
        files.__getitem__("another")


def replace(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(bytes(len(CONTENT)))
    other.replace(path)


@pytest.mark.parametrize("update", [Path.unlink, replace])
def test_a_file_removed_or_renamed_over_stays_the_one_that_was_opened(
    path: Path, update: Callable[[Path], None]
) -> None:
    files = pin(path)
    update(path)
    assert files[NAME] == CONTENT


def flip(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(len(CONTENT) // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def cut(path: Path) -> None:
    os.truncate(path, len(CONTENT) - 1)


def empty(path: Path) -> None:
    os.truncate(path, 0)


@pytest.mark.parametrize("change", [flip, cut, empty])
def test_a_file_changed_in_place_is_an_error_and_never_other_bytes(
    path: Path, change: Callable[[Path], None]
) -> None:
    files = pin(path)
    change(path)
    with pytest.raises(BundleError, match="changed after it was verified"):
        files.__getitem__(NAME)
    with pytest.raises(BundleError):
        dict(files)


@pytest.mark.parametrize("change", [flip, cut, empty])
def test_whoever_is_given_a_file_checks_it_again(
    path: Path, change: Callable[[Path], None]
) -> None:
    files = pin(path)
    given = files.given(NAME)
    assert isinstance(given, int)
    change(path)
    theirs = PinnedFiles()
    digest = hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(BundleError):
        theirs.pin(NAME, os.dup(given), size=len(CONTENT), sha256=digest)


def test_bytes_are_checked_too() -> None:
    files = PinnedFiles()
    digest = hashlib.sha256(b"small").hexdigest()
    files.keep(NAME, b"small", size=5, sha256=digest)
    assert files.given(NAME) == files[NAME] == b"small"
    for content, size in ((b"smaLl", 5), (b"small ", 5), (b"small", 4)):
        with pytest.raises(BundleError):
            files.keep("another", content, size=size, sha256=digest)
    assert list(files) == [NAME]


def test_what_grew_still_gives_the_bytes_that_were_pinned(path: Path) -> None:
    files = pin(path)
    with path.open("ab") as file:
        file.write(b"more")
    assert files[NAME] == CONTENT


@pytest.mark.parametrize("change", [flip, cut, empty])
def test_what_differs_is_not_pinned(path: Path, change: Callable[[Path], None]) -> None:
    change(path)
    with pytest.raises(BundleError):
        pin(path)
    path.write_bytes(CONTENT + b"x")
    with pytest.raises(BundleError, match="bytes long"):
        pin(path)


def test_a_small_file_is_kept(tmp_path: Path) -> None:
    small = tmp_path / NAME
    small.write_bytes(b"small")
    files = pin(small, b"small")
    small.write_bytes(b"other")
    assert files[NAME] == files.given(NAME) == b"small"


def test_nothing_stays_open_longer_than_the_files_are_held(path: Path) -> None:
    def listed() -> bool:
        found = set()
        for entry in Path("/proc/self/fd").iterdir():
            try:
                found.add(os.readlink(entry))
            except OSError:
                continue
        return str(path) in found

    files = pin(path)
    assert listed()
    del files
    gc.collect()
    assert not listed()
    flip(path)
    with pytest.raises(BundleError):
        pin(path)
    gc.collect()
    assert not listed()
