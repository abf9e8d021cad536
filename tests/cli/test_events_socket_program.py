"""``guard --events-socket`` with a host app in another language: the one of docs/embed.md."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from tests.cli.running import LIVE, lines, run, started, until
from tests.source import ROOT

from safelight.events import StreamEvent
from safelight.events_socket import EventsSocket
from safelight.types import CardText, Reason, State

pytestmark = [pytest.mark.slow, pytest.mark.e2e]


def node() -> str:
    found = shutil.which("node")
    if found is None:
        assert os.environ.get("CI") != "true", "CI needs node: make setup-peers installs it"
        pytest.skip("node is absent: install the system package nodejs")
    return found


def host_app(folder: Path, place: Path) -> subprocess.Popen[str]:
    """Start the client of docs/embed.md."""
    written = (ROOT / "docs" / "embed.md").read_text("utf-8")
    (program,) = re.findall(r"^```js\n(.*?)^```", written, re.MULTILINE | re.DOTALL)
    assert len(lines(program)) <= 20
    file = folder / "host.js"
    file.write_text(program, "utf-8")
    return subprocess.Popen(
        [node(), str(file), str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_host_app_hears_shows_and_resumes(tmp_path: Path) -> None:
    card = CardText("card.local_outgoing", "This device paused the video", ())
    stopped = StreamEvent("state", State.INTERRUPTED, Reason.SEXUAL_CONTENT, 1.0, card, "Off.", 9.0)
    back = StreamEvent("state", State.LIVE, Reason.CLEAR, 2.0, None, "Live.")
    end = StreamEvent("end", State.LIVE, Reason.END, 3.0, None, "Over.")
    place = tmp_path / "events"
    tmp_path.chmod(0o700)
    resumed: list[int] = []
    with EventsSocket(place, resume=lambda: resumed.append(1)) as events:
        events.tell(stopped)
        app = host_app(tmp_path, place)
        assert app.stdin is not None
        assert app.stdout is not None
        first = app.stdout.readline().split()
        assert first == ["state", "interrupted", "cover+mute+interrupt", "card.local_outgoing"]
        app.stdin.write("\n")
        app.stdin.flush()
        until(lambda: bool(resumed))
        events.tell(back)
        assert app.stdout.readline().split() == ["state", "live", "show"]
        events.tell(end)
    said, _ = app.communicate(timeout=20)
    assert (app.returncode, said.splitlines()[-1]) == (0, "over")


def test_the_guard_tells_a_host_app_and_its_death_shows(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    place = tmp_path / "events"
    arguments = ("guard", LIVE, "null:", "--events-socket", str(place), "--quiet")
    with started(*arguments, cwd=tmp_path) as guard:
        until(place.exists)
        app = host_app(tmp_path, place)
        assert app.stdout is not None
        said = [app.stdout.readline().split()]
        while said[-1][:2] != ["state", "live"]:
            assert said[-1], said
            said.append(app.stdout.readline().split())
        guard.kill()
        rest, _ = app.communicate(timeout=20)
    assert app.returncode == 1
    assert "gone" in rest


def test_the_socket_is_refused_before_anything_runs(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    done = run("guard", LIVE, "null:", "--events-socket", "events", cwd=tmp_path)
    assert done.returncode == 2
    assert lines(done.stderr) == [
        "safelight: others may write in .: name a socket in a folder of yours alone"
    ]


def test_a_guard_that_ends_removes_its_socket(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with started(
        "guard", LIVE, "null:", "--events-socket", "events", "--quiet", cwd=tmp_path
    ) as guard:
        until((tmp_path / "events").exists)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(60.0)
            client.connect(str(tmp_path / "events"))
            client.recv(1)
            guard.terminate()
            assert guard.wait(30) == 0
    assert not (tmp_path / "events").exists()
