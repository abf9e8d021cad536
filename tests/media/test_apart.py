"""Decoding apart: what comes out is the same, for anybody, by the calls that are listed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from tests.media.helpers import Read, read, write_video

from safelight.audit import tracing
from safelight.errors import SourceError
from safelight.media import apart, apart_seal
from safelight.media.address import Address, Kind, parse_source
from safelight.media.apart import Apart
from safelight.media.av_source import AvSource
from safelight.types import Frame, Picture, Sound

CLIPS: Final = Path(__file__).parents[2] / "../shared/media"

pytestmark = pytest.mark.skipif(
    not apart.decodes_apart(Address(Kind.FILE, "x")), reason="decoded apart on Linux only"
)


def _same(one: Frame, other: Frame) -> bool:
    if (one.seq, one.pts, one.time_base, one.gap) != (
        other.seq,
        other.pts,
        other.time_base,
        other.gap,
    ):
        return False
    a, b = one.content, other.content
    if isinstance(a, Picture) and isinstance(b, Picture):
        planes = ((a.y, b.y), (a.u, b.u), (a.v, b.v))
        return a.format == b.format and all(np.array_equal(x, y) for x, y in planes)
    return isinstance(a, Sound) and isinstance(b, Sound) and np.array_equal(a.samples, b.samples)


def _assert_same(path: Path) -> Read:
    decodes = Apart()
    here, there = read(path), read(path, decodes=decodes)
    assert decodes.cpu_seconds() > 0, "what ended is counted too"
    assert there.info == here.info
    assert there.dropped == here.dropped
    assert len(there.frames) == len(here.frames)
    assert all(_same(a, b) for a, b in zip(here.frames, there.frames, strict=True))
    return there


# --- the same comes out ----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["night.mkv", "again.mkv", "yes.mkv"])
def test_the_clips_come_out_the_same(name: str) -> None:
    made = _assert_same(CLIPS / name)
    assert made.pictures


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "flv", "ts", "avi"])
def test_every_container_comes_out_the_same(tmp_path: Path, suffix: str) -> None:
    made = _assert_same(write_video(tmp_path / f"v.{suffix}", range(20), sound_s=0.6))
    assert len(made.pictures) == 20
    assert made.sounds


@pytest.mark.parametrize("codec", ["mpeg4", "mjpeg", "libx265", "libvpx-vp9", "ffv1", "gif"])
def test_every_decoder_keeps_to_the_list_of_calls(tmp_path: Path, codec: str) -> None:
    form = {"gif": "rgb8", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
    suffix = "gif" if codec == "gif" else "mkv"
    path = write_video(tmp_path / f"v.{suffix}", range(12), codec=codec, kind=form)
    assert _assert_same(path).pictures


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"#EXTM3U\nother.mp4\n"),
        lambda path: path.write_bytes(b"a text\n"),
        lambda path: path.write_bytes(os.urandom(5000)),
        lambda path: path.mkdir(),
        str,
    ],
)
def test_what_cannot_be_read_is_said_in_the_same_words(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    path = tmp_path / "a b — {source}.mp4"
    make(path)
    said = []
    for decodes in (None, Apart()):
        source = AvSource(parse_source(str(path)), decodes=decodes)
        with pytest.raises(SourceError) as caught:
            source.open()
        source.close()
        said.append((type(caught.value), caught.value.what, caught.value.hint))
    assert said[0] == said[1]


# --- as anybody, and no longer than its guard ------------------------------------------------

GUARD: Final = """
import os, sys, time
from safelight.media.address import parse_source
from safelight.media.apart import Apart
from safelight.media.av_source import AvSource
if sys.argv[2] == "refused":
    import pyseccomp
    denied = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    denied.add_rule(pyseccomp.ERRNO(1), "unshare")
    denied.load()
decodes = Apart()
source = AvSource(parse_source(sys.argv[1]), decodes=decodes)
source.open()
print(decodes.pids()[0], flush=True)
print(open(f"/proc/{decodes.pids()[0]}/comm").read().strip(), flush=True)
if sys.argv[3] == "wait":
    time.sleep(60)
os._exit(0)
"""


def _guard(path: Path, *more: str, before: Sequence[str] = ()) -> subprocess.Popen[str]:
    command = [*before, sys.executable, "-c", GUARD, str(path), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment())


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def test_it_dies_with_its_guard(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", range(200))
    with _guard(path, "allowed", "wait") as guard:
        assert guard.stdout is not None
        pid = int(guard.stdout.readline())
        assert guard.stdout.readline().strip() == "safelight-sourc"
        # Stopped, so that it cannot notice by itself.
        os.kill(pid, signal.SIGSTOP)
        guard.kill()
    until = time.monotonic() + 5
    while time.monotonic() < until and Path(f"/proc/{pid}/comm").exists():
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}/comm").exists()


@pytest.mark.parametrize("namespaces", ["allowed", "refused"])
@pytest.mark.parametrize("who", ["root", "ordinary"])
def test_it_works_as_anybody(tmp_path: Path, who: str, namespaces: str) -> None:
    if os.geteuid() != 0 and who == "root":
        pytest.skip("only root is root")
    # More than is read ahead, so that the process is still there when its name is read.
    path = write_video(tmp_path / "v.mkv", range(200))
    before = []
    if who == "ordinary" and os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("nothing here makes an ordinary user of root")
        # One power is kept, to find this interpreter below root's home.
        kept = "+dac_read_search"
        caps = [
            "--inh-caps",
            f"-all,{kept}",
            "--bounding-set",
            f"-all,{kept}",
            "--ambient-caps",
            kept,
        ]
        before = [setpriv, "--reuid", "65534", "--regid", "65534", "--clear-groups", *caps, "--"]
    with _guard(path, namespaces, "go", before=before) as guard:
        out, _ = guard.communicate(timeout=60)
    assert guard.returncode == 0
    assert "safelight-sourc" in out


# --- the list ------------------------------------------------------------------------------------


def _calls_in(section: str) -> set[str]:
    text = (Path(__file__).parents[2] / "docs/sandbox.md").read_text("utf-8")
    part = text.split(f"## {section}\n")[1].split("\n## ")[0]
    return {
        name
        for row in re.findall(r"^\| (`[^|]*) \|", part, re.M)
        for name in re.findall(r"`(\w+)`", row)
    }


def test_the_document_lists_the_calls() -> None:
    listed = _calls_in("System calls of a process that decodes")
    every = {name for kind in apart_seal.FILTERS for name in apart_seal.calls(kind)}
    assert listed == every


@pytest.mark.slow
def test_the_calls_seen_from_outside_are_on_the_list(tmp_path: Path) -> None:
    log = tmp_path / "trace"
    if tracing.works(log) is not None:
        pytest.skip("strace does not run here")
    path = write_video(tmp_path / "v.mp4", range(60), sound_s=0.6)
    reading = GUARD.replace("source.open()\n", "source.open()\nfor _ in range(9): source.read()\n")
    command = [*(tracing.command(log) or ()), sys.executable, "-c", reading, str(path)]
    done = subprocess.run([*command, "allowed", "go"], env=_environment(), check=False)
    assert done.returncode == 0
    sealed = [calls for calls in tracing.read(log).values() if calls.filters]
    assert len(sealed) == 1
    print("calls of the process that decodes:", *sorted(sealed[0].counts))  # noqa: T201
    assert {"read", "write"} <= set(sealed[0].counts)
    # clone3 is answered by "no such call".
    assert set(sealed[0].counts) - {"clone3"} <= set(apart_seal.calls(Kind.FILE))
