"""The publisher, a program of its own: whom it trusts, what it shows, when it ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

import av
import numpy as np
import pytest
from tests.media.helpers import picture, safe

from safelight.errors import SinkError, SinkLostError, SourceError
from safelight.media.address import parse_sink, parse_source
from safelight.media.av_sink import AvSink
from safelight.media.av_source import AvSource
from safelight.media.interface import SourceInfo
from safelight.types import Picture, PictureFormat

INFO = SourceInfo(True, PictureFormat(64, 48), 30.0)
Serve = Callable[[socket.socket], None]


class Server:
    """Takes one connection at a time and does with it what it was told."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer:
                try:
                    self._serve(peer)
                except OSError:
                    continue

    def url(self, scheme: str = "rtmp", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}/live/SECRET"

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Serve], Server]]:
    servers: list[Server] = []

    def start(what: Serve) -> Server:
        servers.append(Server(what))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def exactly(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = peer.recv(size - len(data))
        if not more:
            raise ConnectionResetError
        data += more
    return data


def shake_hands(peer: socket.socket) -> None:
    hello = exactly(peer, 1537)
    peer.sendall(b"\x03" + bytes(1536) + hello[1:])
    exactly(peer, 1536)


def text(value: str) -> bytes:
    return struct.pack(">H", len(value)) + value.encode()


def refuse(peer: socket.socket) -> None:
    shake_hands(peer)
    status = {"level": "error", "code": "NetStream.Publish.BadName", "description": "SECRET"}
    body = b"\x02" + text("onStatus") + b"\x00" + bytes(8) + b"\x05\x03"
    body += b"".join(text(k) + b"\x02" + text(v) for k, v in status.items()) + b"\x00\x00\x09"
    head = b"\x03\0\0\0" + len(body).to_bytes(3, "big") + b"\x14" + bytes(4)
    peer.sendall(head + body[:128])
    if len(body) > 128:
        peer.sendall(b"\xc3" + body[128:])
    peer.recv(65536)
    time.sleep(1)


def refusal(url: str, answer_s: float = 10.0) -> str:
    with pytest.raises(SinkError) as caught:
        AvSink(parse_sink(url), answer_s=answer_s).open(INFO)
    assert "SECRET" not in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value.what


def test_a_server_that_refuses_the_stream_is_told_apart(serve: Callable[[Serve], Server]) -> None:
    assert "refuses the stream" in refusal(serve(refuse).url())


def test_a_server_that_hangs_up_is_told_apart(serve: Callable[[Serve], Server]) -> None:
    assert "hung up" in refusal(serve(socket.socket.close).url())


def test_a_port_where_nobody_listens_is_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert "nobody listens" in refusal(f"rtmp://127.0.0.1:{port}/live/SECRET")


def test_a_host_that_is_not_there_is_told_apart() -> None:
    assert "cannot be reached" in refusal("rtmp://nothing.invalid/live/SECRET")


def test_a_publisher_that_does_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safelight.media.stream_output._PROGRAM", Path("/nothing/here.py"))
    assert "cannot open" in refusal("rtmp://127.0.0.1:9/live/SECRET")


# --- what others on the machine see ------------------------------------------------------------


def children(of: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            after_name = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(after_name[1]) == of and after_name[0] != "Z":
            found.append(int(entry.name))
    return found


def publishers(of: int) -> list[int]:
    return [pid for pid in children(of) if b"publisher.py" in shown(pid, "cmdline")]


def shown(pid: int, what: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return b""


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's /proc")


@needs_proc
def test_the_stream_key_and_other_files_are_not_shown(serve: Callable[[Serve], Server]) -> None:
    """``ps`` shows arguments to everyone; an inherited descriptor would be a way out."""
    hold = threading.Event()
    held = threading.Event()

    def silent(peer: socket.socket) -> None:
        peer.recv(1)
        held.set()
        hold.wait(20)

    os.environ["SAFELIGHT_TEST_KEY"] = "SECRET"
    server = serve(silent)
    read, write = os.pipe()
    os.set_inheritable(write, True)
    sink = AvSink(parse_sink(server.url()), answer_s=20)

    def open_it() -> None:
        with contextlib.suppress(SinkError):
            sink.open(INFO)

    thread = threading.Thread(target=open_it, daemon=True)
    try:
        thread.start()
        assert held.wait(20)
        (pid,) = publishers(os.getpid())
        assert b"SECRET" not in shown(pid, "cmdline")
        assert b"SECRET" not in shown(pid, "environ")
        ours = {os.readlink(f"/proc/self/fd/{write}"), os.readlink(f"/proc/self/fd/{read}")}
        theirs = {os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()}
        assert not ours & theirs
        assert sum(name.startswith("socket:") for name in theirs) == 1
    finally:
        hold.set()
        thread.join(20)
        del os.environ["SAFELIGHT_TEST_KEY"]
        os.close(read)
        os.close(write)
    wait_for(lambda: not publishers(os.getpid()))


@pytest.mark.e2e
@needs_proc
def test_ctrl_c_does_not_reach_it_and_a_killed_guard_takes_it_along(
    serve: Callable[[Serve], Server],
) -> None:
    """It waits for a silent server while its guard is killed: it must not stay."""
    hold = threading.Event()
    connected = threading.Event()

    def silent(peer: socket.socket) -> None:
        peer.recv(1)
        connected.set()
        hold.wait(30)

    server = serve(silent)
    program = (
        "import sys\n"
        "from safelight.media.address import parse_sink\n"
        "from safelight.media.av_sink import AvSink\n"
        "from safelight.media.interface import SourceInfo\n"
        "from safelight.types import PictureFormat\n"
        "sink = AvSink(parse_sink(sys.argv[1]), answer_s=1000)\n"
        "sink.open(SourceInfo(True, PictureFormat(64, 48), 30.0))\n"
    )
    guard = subprocess.Popen([sys.executable, "-c", program, server.url()])
    try:
        assert connected.wait(30)
        (pid,) = publishers(guard.pid)
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(pid, number)
        time.sleep(0.2)
        assert publishers(guard.pid) == [pid]
    finally:
        guard.kill()
        guard.wait(10)
        wait_for(lambda: b"publisher.py" not in shown(pid, "cmdline"))
        hold.set()


# --- TLS ---------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for "localhost", signed by itself, and its key, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate; not installed")
    out = tmp_path / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(tmp_path / "key.pem")]
    command += ["-out", str(tmp_path / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)
    out.write_bytes((tmp_path / "key.pem").read_bytes() + (tmp_path / "cert.pem").read_bytes())
    return out


class Encrypted:
    """A TLS server that notes what it was told under encryption, and hangs up."""

    def __init__(self, certificate: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self.told: list[bytes] = []

    def __call__(self, peer: socket.socket) -> None:
        peer.settimeout(5)
        with self._context.wrap_socket(peer, server_side=True) as secure:
            self.told.append(secure.recv(1))


def open_sink(url: str) -> None:
    with pytest.raises(SinkError):
        AvSink(parse_sink(url), answer_s=5).open(INFO)


def open_source(url: str) -> None:
    source = AvSource(parse_source(url), answer_s=5, stall_s=5)
    with pytest.raises(SourceError):
        source.open()
    source.close()


@pytest.mark.parametrize("open_it", [open_sink, open_source])
@pytest.mark.parametrize(
    ("host", "trusted"),
    [("localhost", True), ("localhost", False), ("127.0.0.1", True)],
    ids=["trusted", "unknown", "another name"],
)
def test_only_a_server_with_a_trusted_certificate_is_spoken_to(
    open_it: Callable[[str], None],
    *,
    host: str,
    trusted: bool,
    certificate: Path,
    serve: Callable[[Serve], Server],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_name("cert.pem")))
    else:
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    encrypted = Encrypted(certificate)
    open_it(serve(encrypted).url("rtmps", host))
    told = [first for first in encrypted.told if first]
    assert told == ([b"\x03"] if trusted and host == "localhost" else [])


def test_a_certificate_that_is_not_trusted_is_told_apart(
    certificate: Path, serve: Callable[[Serve], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    what = refusal(serve(Encrypted(certificate)).url("rtmps", "localhost"))
    assert "not to be trusted" in what


# --- what arrives ------------------------------------------------------------------------------


def listen(into: list[tuple[dict[str, str], list[int]]]) -> str:
    """Have libav listen in a thread; it notes the stream's tags and its pictures' times."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"rtmp://127.0.0.1:{unused.getsockname()[1]}/live/SECRET"

    def run() -> None:
        options = {"listen": "1", "flv_full_metadata": "1"}
        try:
            with av.open(url, "r", format="flv", options=options) as container:
                times: list[int] = []
                into.append((dict(container.metadata), times))
                for packet in container.demux(video=0):
                    if packet.pts is not None:
                        times.append(packet.pts)
        except OSError:
            return  # so ends a connection

    threading.Thread(target=run, daemon=True).start()
    return url


def connected(url: str) -> AvSink:
    end = time.monotonic() + 20
    while True:
        sink = AvSink(parse_sink(url), stall_s=5)
        try:
            sink.open(INFO)
        except SinkError:
            assert time.monotonic() < end, "nobody listens"
            time.sleep(0.05)
        else:
            return sink


def test_no_tag_leaves_but_what_flv_needs_and_late_times_are_whole() -> None:
    """0xFFFFFF ms is where FLV's and RTMP's short time fields end: 4 h 39 min."""
    got: list[tuple[dict[str, str], list[int]]] = []
    sink = connected(listen(got))
    times = [0, 33, *range(0xFFFFFF - 66, 0xFFFFFF + 200, 33)]
    for number, at in enumerate(times):
        sink.write(safe(picture(number), at, Fraction(1, 1000)))
    sink.close(whole=True)
    wait_for(lambda: bool(got) and len(got[0][1]) == len(times))
    assert got[0][1] == times
    assert set(got[0][0]) == {"width", "height", "framerate", "videodatarate", "videocodecid"}


def noise(seed: int) -> Picture:
    """A picture that takes many bytes."""
    some = np.random.default_rng(seed)
    sides = ((48, 64), (24, 32), (24, 32))
    planes = (some.integers(0, 256, side, np.uint8) for side in sides)
    return Picture(PictureFormat(64, 48), *planes)


class SlowNetwork:
    """Stands between a sink and its server, and takes nothing for a while."""

    # A receipt for bytes: a message of kind 3 on channel 2.
    _RECEIPT = bytes.fromhex("02 000000 000004 03 00000000 00100000")

    def __init__(self, url: str) -> None:
        self._server = int(urlsplit(url).port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        # Before it accepts: what the kernel takes for it is little.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        self.url = url.replace(str(self._server), str(self._listener.getsockname()[1]))
        self.goes = threading.Event()
        self.goes.set()
        self._publisher: socket.socket | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        self._publisher, _ = self._listener.accept()
        with self._publisher as publisher, self._connect() as server:
            back = threading.Thread(target=self._hand_on, args=(server, publisher), daemon=True)
            back.start()
            self._hand_on(publisher, server, self.goes)
            server.shutdown(socket.SHUT_WR)
            back.join(5)

    def _connect(self) -> socket.socket:
        end = time.monotonic() + 20
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self._server))
            except OSError:
                assert time.monotonic() < end, "nobody listens"
                time.sleep(0.05)

    @staticmethod
    def _hand_on(
        one: socket.socket, other: socket.socket, goes: threading.Event | None = None
    ) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(4096):
                other.sendall(data)
                if goes is not None:
                    goes.wait(20)

    def say_that_bytes_came(self) -> None:
        assert self._publisher is not None
        self._publisher.sendall(self._RECEIPT)

    def close(self) -> None:
        self._listener.close()


def test_the_end_of_a_stream_arrives_though_the_server_says_something_meanwhile() -> None:
    """Closing with a receipt unread makes the kernel throw away what is on its way."""
    got: list[tuple[dict[str, str], list[int]]] = []
    network = SlowNetwork(listen(got))
    sink = connected(network.url)
    network.goes.clear()
    for number in range(40):
        sink.write(safe(noise(number), 33 * number, Fraction(1, 1000)))
    closing = threading.Thread(target=lambda: sink.close(whole=True))
    time.sleep(0.5)  # until all is with the kernel, and the publisher waits for more
    network.say_that_bytes_came()
    closing.start()
    time.sleep(0.5)
    network.goes.set()
    closing.join(20)
    wait_for(lambda: bool(got) and len(got[0][1]) == 40)
    network.close()


def test_a_network_that_takes_the_end_slowly_is_not_a_lost_server() -> None:
    """The kernel has it all, and goes on sending without us."""
    got: list[tuple[dict[str, str], list[int]]] = []
    network = SlowNetwork(listen(got))
    sink = connected(network.url)
    network.goes.clear()
    for number in range(40):
        sink.write(safe(noise(number), 33 * number, Fraction(1, 1000)))
    sink.close(whole=True)
    assert publishers(os.getpid()) == []
    network.goes.set()
    wait_for(lambda: bool(got) and len(got[0][1]) == 40)
    network.close()


def test_a_stream_outlives_the_thread_that_opened_it() -> None:
    """The kernel takes the thread that starts a program for its parent."""
    got: list[tuple[dict[str, str], list[int]]] = []
    url = listen(got)
    sinks: list[AvSink] = []
    opener = threading.Thread(target=lambda: sinks.append(connected(url)))
    opener.start()
    opener.join(30)
    time.sleep(0.2)
    for number in range(10):
        sinks[0].write(safe(picture(number), 33 * number, Fraction(1, 1000)))
    sinks[0].close(whole=True)
    wait_for(lambda: bool(got) and len(got[0][1]) == 10)


def test_a_publisher_that_is_killed_is_a_loss() -> None:
    got: list[tuple[dict[str, str], list[int]]] = []
    sink = connected(listen(got))
    (pid,) = publishers(os.getpid())
    os.kill(pid, signal.SIGKILL)

    def write_on() -> None:
        for number in range(1000):
            sink.write(safe(picture(number), 33 * number, Fraction(1, 1000)))
            time.sleep(0.001)

    with pytest.raises(SinkLostError):
        write_on()
    sink.close(whole=False)
    assert publishers(os.getpid()) == []
