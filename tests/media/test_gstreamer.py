"""The GStreamer element in real pipelines: only judged pictures and cards come out of it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import programs
from tests.source import ROOT

from safelight.testing import canary, scenes
from safelight.testing.film import Film, read_back

# One group: what one scenario printed serves several tests.
pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.xdist_group("gstreamer")]

GRACE_MS = 100
COVERS_FROM = 600  # as in gst_driver.py, which only the system's Python can load


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("gst")
    return programs.need_gstreamer(str(folder / "registry.bin"))


@pytest.fixture(scope="module")
def run(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Any:
    done: dict[str, dict[str, Any]] = {}

    def one(scenario: str) -> dict[str, Any]:
        if scenario not in done:
            done[scenario] = played(scenario, environment, tmp_path_factory.mktemp(scenario))
        return done[scenario]

    return one


def played(scenario: str, environment: dict[str, str], folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [programs.SYSTEM_PYTHON, "-m", "tests.media.gst_scenarios", scenario, str(folder)],
        env={**environment, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def shown(result: dict[str, Any], marks: list[str]) -> list[int | None]:
    """Which picture each buffer is, byte for byte; None for any other, which is a card."""
    return [marks.index(b["sha"]) if b["sha"] in marks else None for b in result["buffers"]]


def states(result: dict[str, Any]) -> list[str]:
    return [said["state"] for said in result["said"] if said.get("kind") == "state"]


def report(result: dict[str, Any]) -> dict[str, Any]:
    (found,) = [said for said in result["said"] if said["name"] == "safelight-report"]
    return dict(found)


def test_what_is_clear_leaves_byte_for_byte_and_the_rest_as_a_card(run: Any) -> None:
    result = run("covers")
    assert result["end"] == "eos"
    out = shown(result, result["marks"])
    assert out[:40] == list(range(40)), "a file waits for its judge: everything clear leaves"
    assert not set(range(40, 50)) & set(out), "what must not leave, left"
    assert out[-20:] == list(range(90, 110)), "and it comes back"
    assert len(out) == 110, "one out for one in"
    assert [b["pts"] for b in result["buffers"]] == [
        n * 10**9 // 25 for n in range(COVERS_FROM, COVERS_FROM + 110)
    ]
    assert report(result)["unjudged-released"] == 0


def test_what_is_said_on_the_bus_is_enough_for_a_host_and_no_more(run: Any) -> None:
    result = run("covers")
    assert states(result) == ["pending", "live", "covered", "live"]
    (covered,) = [said for said in result["said"] if said.get("state") == "covered"]
    assert covered["should-cover"] is covered["should-mute"] is True
    assert covered["should-interrupt"] is False
    assert covered["message-id"] == "card.local_outgoing"
    allowed = {
        "name", "kind", "state", "reason", "text", "should-cover", "should-mute",
        "should-interrupt", "at", "wait", "message-id", "headline",
    }  # fmt: skip
    assert set(covered) == allowed
    assert "score" not in json.dumps(result["said"])


def test_nv12_leaves_as_nv12(run: Any) -> None:
    result = run("nv12")
    assert shown(result, result["marks"]) == list(range(30))
    assert {b["caps"] for b in result["buffers"]} == {"NV12 320x180"}


def test_caps_may_change_in_the_middle(run: Any) -> None:
    result = run("renegotiates")
    assert result["end"] == "eos"
    out = shown(result, result["marks"])
    assert not set(range(20, 25)) & set(out), "what must not leave, left with the new size"
    assert [b["caps"] for b in result["buffers"]] == (
        ["I420 320x180"] * 20 + ["I420 480x270"] * 55 + ["NV12 320x180"] * 20
    )
    assert states(result)[2] == "pending", "another size starts closed"
    assert result["events"].count("caps") == 3


def test_an_engine_fault_stops_the_pipeline(run: Any) -> None:
    result = run("engine_fault")
    assert (result["end"], result["after"]) == ("error", 0)
    assert "EngineFaultError" in result["error"]
    assert len(result["buffers"]) <= 20
    assert "eos" not in result["events"], "nothing may look whole"


def test_a_bundle_that_does_not_verify_stops_the_pipeline(run: Any) -> None:
    result = run("no_bundle")
    assert result["end"] == "error"
    assert "BundleError" in result["error"]
    assert result["buffers"] == []


def test_a_stream_without_a_picture_ends(run: Any) -> None:
    result = run("nothing_comes")
    assert (result["end"], result["buffers"]) == ("eos", [])


def test_only_pictures_leave(run: Any) -> None:
    """Promise 4: no tag, no event and no field of caps that nobody has read."""
    result = run("side_data")
    assert result["end"] == "eos"
    assert set(result["events"]) == {"stream-start", "caps", "segment", "eos"}
    known = {
        "chroma-site", "colorimetry", "format", "framerate", "height", "interlace-mode",
        "pixel-aspect-ratio", "width",
    }  # fmt: skip
    assert all(set(b["field_names"]) <= known for b in result["buffers"])
    assert not any(b["metas"] for b in result["buffers"])


def test_what_was_held_before_a_seek_does_not_come_out_after_it(run: Any) -> None:
    result = run("seeks")
    after = result["buffers"][result["before"] :]
    old = [b for b in after if b["sha"] in result["old"]]
    assert old == []
    out = shown({"buffers": after}, result["new"])
    assert not {0, 1, 2} & set(out), "what must not leave, left after a seek"
    assert out[-10:] == list(range(53, 63))
    assert states(result)[2] == "pending"


def test_a_pipeline_can_be_stopped_in_the_middle_and_started_again(run: Any) -> None:
    result = run("stops_in_the_middle")
    counts = result["counts"]
    assert counts[0::2] == counts[1::2], "a picture left after the pipeline was stopped"
    assert counts[0] < counts[2] < counts[4]
    assert not [name for name in result["threads"] if name.startswith("safelight")]


def test_the_hold_is_told_as_latency(run: Any) -> None:
    found = run("latency")["latency"]
    assert all(live for live, _ in found.values())
    waits = {int(hold): ms for hold, (_, ms) in found.items()}
    assert waits[250] - waits[0] == 250
    assert waits[1000] - waits[0] == 1000
    assert waits[0] >= GRACE_MS


def test_an_interruption_waits_for_its_cool_down(run: Any) -> None:
    result = run("resumes")
    assert states(result)[-1] == "interrupted"
    (refused,) = [said for said in result["said"] if said.get("kind") == "resume_refused"]
    assert refused["wait"] > 0
    assert refused["should-interrupt"] is True


def test_a_killed_judge_covers_and_the_pipeline_goes_on(run: Any) -> None:
    """The real judge, in a process of its own, killed in a live pipeline."""
    result = run("network")
    said = [(s.get("kind"), s.get("state")) for s in result["said"]]
    fault = said.index(("fault", "live"))
    after = [s for s in said[fault:] if s[0] == "state"]
    assert after[0][1] in ("pending", "covered")
    assert after[-1][1] == "live"


# --- gst-launch-1.0, as a person types it -----------------------------------------------------


def film(path: Path) -> tuple[int, int]:
    rgb = canary.load("card")
    size = (rgb.shape[1], rgb.shape[0])
    with Film(path, size, rate=25) as out:
        for index in range(100):
            out.add(rgb if 40 <= index < 55 else scenes.scene(index / 25, size))
    return size


def test_gst_launch_lets_no_canary_out(environment: dict[str, str], tmp_path: Path) -> None:
    """``filesrc ! decodebin ! safelight ! x264enc``, judged by the real network."""
    film(tmp_path / "in.mp4")
    line = (
        f"filesrc location={tmp_path}/in.mp4 ! decodebin ! safelight state-folder={tmp_path} !"
        f" x264enc ! mp4mux ! filesink location={tmp_path}/out.mp4"
    )
    done = subprocess.run(
        ["gst-launch-1.0", "-q", *line.split()],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rgb = canary.load("card").astype(int)
    far = [float(np.abs(p.rgb.astype(int) - rgb).mean()) for p in read_back(tmp_path / "out.mp4")]
    before = [float(np.abs(p.rgb.astype(int) - rgb).mean()) for p in read_back(tmp_path / "in.mp4")]
    assert sum(d < 12 for d in before) == 15, "the canary is in what came in"
    assert len(far) == 100
    assert sum(d < 12 for d in far) == 0


def test_gst_inspect_reads_well(environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["gst-inspect-1.0", "safelight"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in ("policy", "direction", "bundle", "test-bundle", "hold-ms"):
        assert re.search(rf"^  {name} +: \S", done.stdout, re.MULTILINE), name
    assert '"resume"' in done.stdout
    assert "I420" in done.stdout
    assert "NV12" in done.stdout
