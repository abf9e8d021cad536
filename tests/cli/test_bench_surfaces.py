"""``safelight bench --surfaces``: figures of what works here, and a reason for what does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.running import PROGRAM, environment

from safelight.cli import bench_surfaces, surface_chains
from safelight.cli.processes import judges_of
from safelight.errors import LostError

SURFACES = ["RTMP", "WebRTC, VP8", "WebRTC, H264", "GStreamer", "GStreamer", "guarded camera"]


def fake(scratch: Path, seconds: float, *, guarded: bool, **_: int) -> dict[str, Any]:
    assert scratch.is_dir()
    assert seconds == 2.0
    late = 250.0 if guarded else 0.0
    found = {"p50": 5.0 + late, "p99": 9.0 + late, "max": 10.0 + late}
    return {**found, "pictures": 30, "others": 0, **({"unjudged_released": 1} if guarded else {})}


def test_each_surface_has_figures_or_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def lacks(*_: object, **__: object) -> dict[str, Any]:
        raise surface_chains.NotHereError("pipewire is absent")

    def breaks(*_: object, **__: object) -> dict[str, Any]:
        raise LostError("nothing came out at the other end", "see doctor")

    monkeypatch.setattr(surface_chains, "rtmp", fake)
    monkeypatch.setattr(surface_chains, "gstreamer", breaks)
    monkeypatch.setattr(surface_chains, "camera", lacks)
    monkeypatch.setattr(bench_surfaces, "find_spec", lambda _: None)
    figures = bench_surfaces.measure(tmp_path, 2.0)
    assert [one["surface"] for one in figures] == SURFACES
    assert figures[0]["added_ms"] == {"p50": 250.0, "p99": 250.0}
    assert all("plain" not in one and one["not_measured"] for one in figures[1:])
    said = capsys.readouterr().out
    assert "WebRTC, VP8: not measured, not here: aiortc is missing" in said
    assert "guarded camera: not measured, not here: pipewire is absent" in said
    assert bench_surfaces.unjudged(figures) == 1


def test_where_nothing_came_nothing_is_said_to_be_added(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def cards_only(scratch: Path, seconds: float, *, guarded: bool, **_: int) -> dict[str, Any]:
        found = fake(scratch, seconds, guarded=guarded)
        nothing = {"p50": None, "p99": None, "max": None, "pictures": 0, "others": 30}
        return {**found, **nothing} if guarded else found

    for name in ("rtmp", "gstreamer", "camera"):
        monkeypatch.setattr(surface_chains, name, cards_only)
    monkeypatch.setattr(bench_surfaces, "find_spec", lambda _: None)
    figures = bench_surfaces.measure(tmp_path, 2.0)
    assert figures[0]["added_ms"] == {"p50": None, "p99": None}
    assert "None" not in capsys.readouterr().out


@pytest.mark.slow
def test_judges_are_told_from_their_template(tmp_path: Path) -> None:
    """The bench kills them: it must be those, and all of those."""
    script = (
        "import safelight, sys, time; from safelight.testing.idle_source import IdleSource\n"
        f"with safelight.open(IdleSource(), 'null:', state={str(tmp_path)!r}) as s:\n"
        "    print('open', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            (judge,) = judges_of(process.pid)
            template = int(Path(f"/proc/{judge}/stat").read_text().rpartition(")")[2].split()[1])
            assert template != process.pid
            assert judges_of(template) == [], "seen from the template there is none below one"
        finally:
            process.kill()


@pytest.mark.long
@pytest.mark.e2e
@pytest.mark.timeout(900)
def test_every_surface_is_measured_with_real_peers(tmp_path: Path) -> None:
    command = [*PROGRAM, "bench", "--surfaces", "--seconds", "4", "--json", "out.json"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment(tmp_path),
        timeout=800,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b""), done.stdout
    figures = json.loads((tmp_path / "out.json").read_text())["surfaces"]
    assert [one["surface"] for one in figures] == SURFACES
    for one in figures:
        assert "not_measured" not in one, one
        assert one["plain"]["pictures"] > 0
        # On a busy machine much of a call is cards; in no case is it nothing.
        assert one["guarded"]["pictures"] + one["guarded"]["others"] > 0
        assert one["guarded"].get("unjudged_released", 0) == 0
