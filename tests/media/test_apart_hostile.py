"""Decoding apart, taken over: lies are refused, escapes are killed, death is a loss."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Final

import pytest
from tests.media import hostile_source
from tests.media.helpers import content, write_video

from safelight.errors import EndOfStream, IsolationError, SourceError, SourceLostError
from safelight.media import apart, apart_wire
from safelight.media.address import Address, Kind, parse_source
from safelight.media.apart import Apart
from safelight.media.av_source import AvSource
from safelight.types import Frame

HOSTILE: Final = "tests.media.hostile_source"

pytestmark = pytest.mark.skipif(
    not apart.decodes_apart(Address(Kind.FILE, "x")), reason="decoded apart on Linux only"
)


# --- whoever takes it over ---------------------------------------------------------------------


class Hostile:
    """A source whose process is in a stranger's hands."""

    def __init__(self, what: str, kind: Kind = Kind.FILE, *, allow_weak: bool = False) -> None:
        self.apart = Apart(program=HOSTILE, allow_weak=allow_weak)
        address = Address(kind, f"/none/{what}", "127.0.0.1", 9)
        self.source = AvSource(address, decodes=self.apart)
        self.frames: list[Frame] = []
        self.end: BaseException | None = None

    def play(self) -> Hostile:
        try:
            self.source.open()
            while True:
                self.frames.append(self.source.read())
        except (EndOfStream, SourceError, SourceLostError, IsolationError) as error:
            self.end = error
        finally:
            self.source.close()
        return self

    @property
    def status(self) -> int | None:
        """How its process ended: minus a signal's number if by one."""
        return self.apart._running[0]._process.returncode


@pytest.mark.parametrize("what", [*hostile_source.LIES, "opened_before_sealed"])
def test_a_lie_ends_the_source_and_shows_nothing(what: str) -> None:
    played = Hostile(what).play()
    assert isinstance(played.end, SourceError)
    assert played.frames == []
    assert "what cannot be" in played.end.what


def test_enough_lies_are_told() -> None:
    assert len(hostile_source.LIES) >= 20


def test_what_is_no_lie_is_believed() -> None:
    """The hostile process itself is no reason for a refusal."""
    played = Hostile("memory").play()
    assert isinstance(played.end, EndOfStream)
    assert len(played.frames) == 5


@pytest.mark.parametrize("kind", [Kind.FILE, Kind.RTMP])
@pytest.mark.parametrize("what", [*hostile_source.ESCAPES])
def test_whatever_decodes_and_reaches_for_more_is_killed(what: str, kind: Kind) -> None:
    if kind is Kind.RTMP and what == "seek_elsewhere":
        pytest.skip("there is no file")
    played = Hostile(what, kind).play()
    assert played.status == -signal.SIGSYS
    assert isinstance(played.end, SourceError | SourceLostError)
    assert len(played.frames) <= 2


@pytest.mark.parametrize("what", hostile_source.EARLY)
def test_whatever_connects_starts_no_program_and_writes_nothing(what: str) -> None:
    played = Hostile(what, Kind.RTMP).play()
    assert played.status == -signal.SIGSYS
    assert isinstance(played.end, SourceError)
    assert played.frames == []


@pytest.mark.parametrize("what", [*hostile_source.HARMLESS])
def test_what_decoding_needs_is_left(what: str) -> None:
    played = Hostile(what).play()
    assert isinstance(played.end, EndOfStream)
    assert len(played.frames) == 5


@pytest.mark.parametrize("what", ["not_sealed", "dumpable"])
def test_it_is_not_believed_to_be_sealed(what: str) -> None:
    played = Hostile(what).play()
    assert isinstance(played.end, IsolationError)
    assert played.end.exit_status == 3
    assert played.frames == []


def test_a_picture_does_not_change_once_it_is_here() -> None:
    hostile = Hostile("overwrite")
    try:
        hostile.source.open()
        first = content(hostile.source.read())
        before = bytes(first.y)
        time.sleep(0.3)
        assert bytes(first.y) == before
        assert first.y.flags.owndata
        assert not first.y.flags.writeable
    finally:
        hostile.source.close()


def test_the_guard_cannot_be_cut_off_from_the_ring() -> None:
    """A ring that the other side could shrink would end the guard at its next read."""
    from safelight.media.apart_ring import Inbox

    ring = Inbox()
    for size in (0, 1 << 40):
        with pytest.raises(PermissionError):
            os.ftruncate(ring.handle, size)
    ring.close()
    ring.close()


def test_chance_says_nothing_that_is_believed() -> None:
    rng = random.Random(7)  # noqa: S311
    honest = [m for said in hostile_source.LIES.values() for m in said]
    for _ in range(20_000):
        data = bytearray(rng.choice(honest)[:400])
        for _ in range(rng.randrange(4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            message = apart_wire.parse(bytes(data))
        except apart_wire.LieError:
            continue
        # What parses is whole, and says the same again.
        assert apart_wire.parse(apart_wire.pack(message)).__class__ is message.__class__


# --- when it ends -------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["dies", "crashes", "broken"])
def test_its_death_is_a_loss(what: str) -> None:
    played = Hostile(what).play()
    assert isinstance(played.end, SourceLostError)
    assert played.end.exit_status == 4
    assert len(played.frames) <= 2


def test_its_death_before_the_first_picture_is_no_start() -> None:
    played = Hostile("dies_at_once").play()
    assert isinstance(played.end, SourceError)
    assert played.end.exit_status == 2


def test_its_silence_is_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_FILE_S", 3.0)
    played = Hostile("hangs").play()
    assert isinstance(played.end, SourceLostError)
    assert "does not answer" in played.end.what
    assert played.status == -signal.SIGKILL


def test_a_process_that_is_stopped_is_a_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "_FILE_S", 3.0)
    decodes = Apart()
    path = write_video(tmp_path / "v.mkv", range(120))
    source = AvSource(parse_source(str(path)), decodes=decodes)
    try:
        source.open()
        os.kill(decodes.pids()[0], signal.SIGSTOP)
        with pytest.raises(SourceLostError, match="does not answer"):
            _read_on(source)
    finally:
        source.close()


def _read_on(source: AvSource) -> None:
    for _ in range(200):
        source.read()


def test_close_ends_it_at_once() -> None:
    hostile = Hostile("hangs")
    hostile.source.open()
    begun = time.monotonic()
    hostile.source.close()
    assert time.monotonic() - begun < 5
    assert hostile.status == -signal.SIGKILL
