"""What a host app hears and says over a Unix socket: states only, same user only, no waiting."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from safelight import own_socket
from safelight.cli.event_line import EventLine
from safelight.errors import UsageError
from safelight.events import StreamEvent
from safelight.events_socket import COMMANDS_A_SECOND, MOST_CLIENTS, EventsSocket
from safelight.types import CardText, Reason, State

CARD = CardText("card.local_outgoing", "This device paused the video", ("It can be wrong.",))
LIVE = StreamEvent("state", State.LIVE, Reason.CLEAR, 1.0, None, "Live.")
PAUSED = StreamEvent("state", State.COVERED, Reason.SEXUAL_CONTENT, 2.0, CARD, "Paused.")
STOPPED = StreamEvent("state", State.INTERRUPTED, Reason.SEXUAL_CONTENT, 3.0, CARD, "Off.", 10.0)
RESUME = b'{"resume":true}\n'


class Client:
    """A host app: reads lines, as slowly as the test wants."""

    def __init__(self, path: Path) -> None:
        self.connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.connection.settimeout(10.0)
        self.connection.connect(str(path))
        self._file = self.connection.makefile("rb")

    def line(self) -> EventLine:
        return EventLine.model_validate_json(self._file.readline())

    def first(self) -> bytes:
        try:
            return self._file.readline()
        except ConnectionResetError:
            return b""

    def ended(self) -> bool:
        try:
            return self._file.read() == b""
        except ConnectionResetError:
            return True

    def say(self, text: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.connection.sendall(text)

    def close(self) -> None:
        self._file.close()
        self.connection.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir(mode=0o700)
    return folder / "events"


@pytest.fixture
def connect(place: Path) -> Iterator[Callable[[], Client]]:
    made: list[Client] = []

    def one() -> Client:
        made.append(Client(place))
        return made[-1]

    yield one
    for client in made:
        client.close()


def soon(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10.0
    while not true():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def test_lines_are_events_in_order_and_whoever_is_late_gets_the_last(
    place: Path, connect: Callable[[], Client]
) -> None:
    with EventsSocket(place) as events:
        early = connect()
        for event in (LIVE, PAUSED):
            events.tell(event)
        assert [early.line(), early.line()] == [EventLine.of(LIVE), EventLine.of(PAUSED)]
        late = connect()
        assert late.line() == EventLine.of(PAUSED)
    assert early.ended()
    assert late.ended()
    assert not place.exists()


def test_what_is_told_just_before_the_end_arrives(
    place: Path, connect: Callable[[], Client]
) -> None:
    events = EventsSocket(place)
    client = connect()
    events.tell(LIVE)
    client.line()
    events.tell(PAUSED)
    events.close()
    assert client.line().state == "covered"
    assert client.ended()


def test_who_comes_late_is_told_how_long_is_left(
    place: Path, connect: Callable[[], Client]
) -> None:
    with EventsSocket(place) as events:
        early = connect()
        events.tell(STOPPED)
        assert early.line().wait_s == 10.0
        time.sleep(0.3)
        assert connect().line().wait_s < 10.0


def test_nothing_finer_than_states_is_said(place: Path, connect: Callable[[], Client]) -> None:
    """Promise 8, on the wire itself."""
    with EventsSocket(place) as events:
        client = connect()
        events.tell(PAUSED)
        said = json.loads(client.line().model_dump_json(by_alias=True))
    assert set(said) == {
        "schema", "kind", "state", "reason", "at_s", "should_cover", "should_interrupt",
        "should_mute", "text", "card", "wait_s",
    }  # fmt: skip


# --- in: a resume ---------------------------------------------------------------------------------


def test_a_resume_is_passed_on(place: Path, connect: Callable[[], Client]) -> None:
    came = threading.Event()
    with EventsSocket(place, resume=came.set):
        connect().say(RESUME)
        assert came.wait(10.0)


@pytest.mark.parametrize(
    "said",
    [
        b"\n",
        b"resume\n",
        b'{"resume":false}\n',
        b'{"resume":1}\n',
        b'{"resume":"true"}\n',
        b"{}\n",
        b"[]\n",
        b'{"resume":true,"release":true}\n',
        b'{"schema":"safelight.command/2","resume":true}\n',
        b"x" * 300,
        b'{"resume":true,' + b" " * 300 + b"}\n",
        b"\xff\xfe\n",
        b"[" * 250 + b"\n",
    ],
)
def test_what_is_no_command_ends_the_connection_and_resumes_nothing(
    said: bytes, place: Path, connect: Callable[[], Client]
) -> None:
    resumed: list[int] = []
    with EventsSocket(place, resume=lambda: resumed.append(1)) as events:
        client = connect()
        client.say(said)
        assert client.ended()
        other = connect()
        events.tell(LIVE)
        assert other.line().state == "live"
    assert resumed == []


def test_a_flood_of_resumes_is_cut_off(place: Path, connect: Callable[[], Client]) -> None:
    """No client may keep the guard busy with what it says."""
    resumed: list[int] = []
    with EventsSocket(place, resume=lambda: resumed.append(1)):
        client = connect()
        client.say(RESUME * COMMANDS_A_SECOND * 20)
        assert client.ended()
    assert len(resumed) <= 2


# --- nobody is waited for -------------------------------------------------------------------------


def test_a_client_that_does_not_read_delays_nobody_and_is_cut_off(
    place: Path, connect: Callable[[], Client]
) -> None:
    with EventsSocket(place) as events:
        stuck, good = connect(), connect()
        told = 0
        read = 0
        gone = False
        # The kernel holds some hundred thousand bytes besides ours.
        while not gone and told < 20_000:
            events.tell(PAUSED)
            told += 1
            assert good.line().state == "covered"
            read += 1
            gone = told % 500 == 0 and _hung_up(stuck)
        assert gone, "it is still waited for"
        assert read == told


def _hung_up(client: Client) -> bool:
    poll = select.poll()
    poll.register(client.connection, select.POLLIN)
    return any(what & select.POLLHUP for _, what in poll.poll(0))


def test_telling_returns_at_once_with_nobody_there_and_after_the_end(place: Path) -> None:
    events = EventsSocket(place)
    for _ in range(5000):
        events.tell(LIVE)
    events.close()
    events.tell(LIVE)
    events.close()
    assert not place.exists()


def test_clients_are_counted(place: Path, connect: Callable[[], Client]) -> None:
    with EventsSocket(place) as events:
        events.tell(LIVE)
        several = [connect() for _ in range(MOST_CLIENTS)]
        assert [client.line().state for client in several] == ["live"] * MOST_CLIENTS
        assert connect().ended()
        several[0].close()
        soon(lambda: connect().first() != b"")


# --- whose socket it is ---------------------------------------------------------------------------


def test_another_user_is_not_talked_to(
    place: Path, connect: Callable[[], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    resumed: list[int] = []
    with EventsSocket(place, resume=lambda: resumed.append(1)) as events:
        events.tell(LIVE)
        mine = os.geteuid()
        monkeypatch.setattr("safelight.own_socket.os.geteuid", lambda: mine + 1)
        stranger = connect()
        stranger.say(RESUME)
        assert stranger.ended()
    assert resumed == []


def test_a_peer_that_the_kernel_says_nothing_of_is_refused() -> None:
    class Silent:
        def getsockopt(self, *_: object) -> bytes:
            raise OSError

    assert not own_socket.same_user(Silent())  # type: ignore[arg-type]


def test_only_its_user_reaches_it(place: Path) -> None:
    with EventsSocket(place):
        assert stat.S_IMODE(place.lstat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_a_folder_that_others_write_in_is_refused(mode: int, place: Path) -> None:
    place.parent.chmod(mode)
    with pytest.raises(UsageError, match="others may write"):
        EventsSocket(place)


def test_a_folder_of_somebody_else_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = os.geteuid()
    monkeypatch.setattr("safelight.own_socket.os.geteuid", lambda: mine + 1)
    with pytest.raises(UsageError, match="others may write"):
        EventsSocket(place)


def test_a_file_is_not_replaced(place: Path) -> None:
    place.write_text("mine")
    with pytest.raises(UsageError, match="no socket"):
        EventsSocket(place)
    assert place.read_text() == "mine"


def test_another_guard_is_not_pushed_aside(place: Path, connect: Callable[[], Client]) -> None:
    with EventsSocket(place) as first:
        with pytest.raises(UsageError, match="another guard"):
            EventsSocket(place)
        first.tell(LIVE)
        assert connect().line().state == "live"


def test_what_a_killed_guard_left_is_replaced(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place))
    with EventsSocket(place):
        assert stat.S_ISSOCK(place.lstat().st_mode)
    assert not place.exists()


def test_what_took_its_name_is_not_removed(place: Path) -> None:
    with EventsSocket(place):
        place.unlink()
        place.write_text("somebody's")
    assert place.read_text() == "somebody's"


@pytest.mark.parametrize("path", ["missing/events", "x" * 120])
def test_a_place_that_cannot_be_one_says_why(path: str, place: Path) -> None:
    with pytest.raises(UsageError):
        EventsSocket(place.parent / path)
