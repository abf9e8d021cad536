"""Each bad input of a first day: one line, the right status, nothing left that looks whole."""

from __future__ import annotations

import resource
import shutil
import wave
from pathlib import Path

import av
import pytest
from tests.cli.running import LIVE, film, lines, run, started, until

from safelight import default_folder

pytestmark = pytest.mark.slow


def empty(folder: Path) -> str:
    (folder / "in.mp4").write_bytes(b"")
    return "in.mp4"


def text(folder: Path) -> str:
    (folder / "in.mp4").write_text("This is not a film, whatever its name says.\n" * 40)
    return "in.mp4"


def truncated(folder: Path) -> str:
    whole = film(folder / "in.mp4").read_bytes()
    (folder / "in.mp4").write_bytes(whole[: len(whole) // 2])
    return "in.mp4"


def without_frames(folder: Path) -> str:
    with av.open(str(folder / "in.mkv"), "w") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height = 320, 180
        stream.pix_fmt = "yuv420p"
        out.start_encoding()
    return "in.mkv"


def sound_alone(folder: Path) -> str:
    with wave.open(str(folder / "in.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(48_000)
        out.writeframes(bytes(96_000))
    return "in.wav"


def a_directory(folder: Path) -> str:
    (folder / "in.mp4").mkdir()
    return "in.mp4"


def missing(_: Path) -> str:
    return "in.mp4"


def unreachable(_: Path) -> str:
    return "rtmp://127.0.0.1:1/live/sk-12345"


def a_playlist(folder: Path) -> str:
    film(folder / "other.mp4")
    (folder / "in.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n")
    return "in.m3u8"


SOURCES = (
    empty,
    text,
    truncated,
    without_frames,
    sound_alone,
    a_directory,
    missing,
    unreachable,
    a_playlist,
)


@pytest.mark.parametrize("make", SOURCES, ids=lambda make: make.__name__)
def test_a_bad_source(make: object, tmp_path: Path) -> None:
    if not callable(make):
        raise TypeError
    source = make(tmp_path)
    given = {path.name for path in tmp_path.iterdir()}
    done = run("guard", source, "out.mp4", "--report", "report.json", cwd=tmp_path)
    check(done.returncode, 2, done.stderr, done.stdout)
    assert {path.name for path in tmp_path.iterdir()} == given


@pytest.mark.parametrize(
    "sink",
    ["no/such/folder/out.mp4", "in.mp4", "folder", "out.gif", "rtmp://127.0.0.1:1/live/sk-12345"],
)
def test_a_sink_that_cannot_be_written(sink: str, tmp_path: Path) -> None:
    film(tmp_path / "in.mp4")
    (tmp_path / "folder").mkdir()
    before = (tmp_path / "in.mp4").read_bytes()
    done = run("guard", "in.mp4", sink, cwd=tmp_path)
    check(done.returncode, 2, done.stderr, done.stdout)
    assert {path.name for path in tmp_path.iterdir()} == {"in.mp4", "folder"}
    assert (tmp_path / "in.mp4").read_bytes() == before


POLICY = (default_folder().parent.parent / "policies" / "protect.toml").read_text()
POLICIES = {
    "an unknown key": POLICY + "\n[exemptions]\nadults = true\n",
    "releases minor and sexual": POLICY.replace(
        '[minor_with_sexual_content]\naction = "cover"',
        '[minor_with_sexual_content]\naction = "release"',
    ),
    "says nothing of minors": POLICY.partition("[minor_with")[0],
    "is empty": "",
}


@pytest.mark.parametrize("kind", POLICIES)
def test_a_policy_that_may_not_be(kind: str, tmp_path: Path) -> None:
    assert POLICIES[kind] != POLICY
    film(tmp_path / "in.mp4")
    (tmp_path / "mine.toml").write_text(POLICIES[kind])
    done = run("guard", "in.mp4", "out.mp4", "--policy", "mine.toml", cwd=tmp_path)
    check(done.returncode, 2, done.stderr, done.stdout)
    assert {path.name for path in tmp_path.iterdir()} == {"in.mp4", "mine.toml"}


@pytest.mark.parametrize("name", ["manifest.json", "landscape.png"])
def test_a_bundle_with_one_flipped_byte(name: str, tmp_path: Path) -> None:
    film(tmp_path / "in.mp4")
    shutil.copytree(default_folder(), tmp_path / "bundle")
    damaged = bytearray((tmp_path / "bundle" / name).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "bundle" / name).write_bytes(damaged)
    done = run("guard", "in.mp4", "out.mp4", "--bundle", "bundle", cwd=tmp_path)
    check(done.returncode, 3, done.stderr, done.stdout)
    assert {path.name for path in tmp_path.iterdir()} == {"in.mp4", "bundle"}


def test_a_stand_in_does_not_judge_unasked(tmp_path: Path) -> None:
    stand_in = str(default_folder().parent.parent / "testing" / "bundles" / "face")
    done = run("guard", LIVE, "null:", "--bundle", stand_in, cwd=tmp_path)
    check(done.returncode, 3, done.stderr, done.stdout)


def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    """It runs, then it is lost: 4, and what was written does not look whole."""
    with started("guard", LIVE, "out.mp4", "--quiet", cwd=tmp_path) as guard:
        until(lambda: any(tmp_path.glob("*out.mp4*.part")))
        # From now on no file of that process may grow beyond this.
        resource.prlimit(guard.pid, resource.RLIMIT_FSIZE, (20_000, 20_000))
        out, err = guard.communicate(timeout=60)
    check(guard.returncode, 4, err, out)
    assert {path.name for path in tmp_path.iterdir()} <= {"state-home"}


def check(status: int, wanted: int, err: str, out: str) -> None:
    assert len(lines(err)) == 1, err
    assert err.startswith("safelight: ")
    assert err.count(": ") >= 2, "what is wrong, and what to do"
    assert "Traceback" not in err + out
    assert "sk-12345" not in err + out, "a stream key was shown"
    assert out == ""
    assert status == wanted, err
