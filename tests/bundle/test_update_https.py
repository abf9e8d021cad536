"""Promise 5 and 6 on the wire: an update is fetched by plain GETs over HTTPS, within limits."""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.bundle.rehearsal import Rehearsal, judging

from safelight.bundle import update
from safelight.errors import SafelightError, UsageError

Answer = Callable[["Handler"], bool]


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, unless the test's ``answer`` did something else."""

    answer: Answer | None = None
    seen: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        self.seen.append((self.path, dict(self.headers)))
        if self.answer is None or not type(self).answer(self):  # type: ignore[misc]
            super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def theirs(tmp_path: Path) -> Rehearsal:
    made = Rehearsal(tmp_path)
    made.offer(2)
    return made


@pytest.fixture
def server(
    theirs: Rehearsal, tmp_path: Path
) -> Iterator[tuple[str, ssl.SSLContext, type[Handler]]]:
    """A repository at https://127.0.0.1, with a certificate of the test's own."""
    certificate, key = certify(tmp_path)

    class Ours(Handler):
        seen = []  # noqa: RUF012

    serving = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Ours, directory=str(theirs.path))
    )
    inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    inside.load_cert_chain(certificate, key)
    serving.socket = inside.wrap_socket(serving.socket, server_side=True)
    thread = threading.Thread(target=serving.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    trusting = ssl.create_default_context(cafile=str(certificate))
    yield f"https://127.0.0.1:{serving.server_port}", trusting, Ours
    serving.shutdown()
    serving.server_close()
    thread.join()


def certify(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, secret


Server = tuple[str, ssl.SSLContext, type[Handler]]
QUICK = update.Limits(stall_s=0.5, total_s=1.5)


def fails(server: Server, place: Path, answer: Answer, *, first: bool = False) -> str:
    """Let the server answer so; nothing that is installed may change."""
    address, trusting, handler = server
    before = {}
    if not first:
        update.pull(address, place, test=True, context=trusting)
        before = judging(place)
    handler.answer = answer
    with pytest.raises(SafelightError) as caught:
        update.pull(address, place, test=True, context=trusting, limits=QUICK)
    if first:
        assert not (place / "current").exists()
    else:
        assert judging(place) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_pull_tells_nothing_of_who_pulls(server: Server, tmp_path: Path) -> None:
    address, trusting, handler = server
    assert update.pull(address, tmp_path / "place", test=True, context=trusting).version == 2
    assert [path for path, _ in handler.seen][:2] == [
        "/metadata/2.root.json",
        "/metadata/timestamp.json",
    ]
    for _, headers in handler.seen:
        assert set(headers) == {"Host", "Accept-Encoding", "Connection"}


def test_a_server_that_nobody_vouches_for_is_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="certificate"):
        update.pull(server[0], tmp_path / "place", test=True)
    with pytest.raises(UsageError):
        update.pull(server[0].replace("127.0.0.1", "localhost"), tmp_path, context=server[1])
    assert server[2].seen == []


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1/",
        "ftp://127.0.0.1/",
        "file:///tmp",
        "https://",
        "https://me:secret@127.0.0.1/",
        "https://127.0.0.1/?who=me",
        "https://127.0.0.1:99999/",
        "https://[::1/",
    ],
)
def test_only_a_plain_https_address_is_fetched_from(address: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        update.pull(address, tmp_path / "place", test=True)
    assert "secret" not in str(caught.value)


def test_redirects_are_not_followed(server: Server, tmp_path: Path) -> None:
    def elsewhere(handler: Handler) -> bool:
        handler.send_response(302)
        handler.send_header("Location", "/elsewhere")
        handler.end_headers()
        return True

    assert "redirects" in fails(server, tmp_path / "place", elsewhere)
    assert not any(path == "/elsewhere" for path, _ in server[2].seen)


def test_a_file_that_never_ends_is_cut(server: Server, tmp_path: Path) -> None:
    def endless(handler: Handler) -> bool:
        if "timestamp" not in handler.path:
            return False
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b" " * 65536)
        except OSError:
            return True

    assert "more than was announced" in fails(server, tmp_path / "place", endless)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["silent", "head", "body"])
def test_a_slow_server_does_not_hold_a_pull_for_ever(
    what: str, server: Server, tmp_path: Path
) -> None:
    ended = threading.Event()
    to_its_end: list[str] = []

    def slow(handler: Handler) -> bool:
        if what == "body":
            handler.send_response(200)
            handler.end_headers()
        for _ in range(50):
            if ended.wait(0.2):
                break
            if what != "silent":
                try:
                    handler.wfile.write(b"H")
                    handler.wfile.flush()
                except OSError:
                    break
        else:
            to_its_end.append(handler.path)
        handler.close_connection = True
        return True

    try:
        fails(server, tmp_path / "place", slow, first=True)
        assert not to_its_end  # the pull left first
    finally:
        ended.set()


def test_a_file_that_breaks_off_is_refused(server: Server, tmp_path: Path) -> None:
    def half(handler: Handler) -> bool:
        if "timestamp" not in handler.path:
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"{}")
        handler.close_connection = True
        return True

    fails(server, tmp_path / "place", half)


@pytest.mark.parametrize("status", [500, 204, 206, 404])
def test_any_other_answer_is_an_error(status: int, server: Server, tmp_path: Path) -> None:
    def answer(handler: Handler) -> bool:
        if "timestamp" not in handler.path:
            return False
        handler.send_response(status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return True

    assert str(status) in fails(server, tmp_path / "place", answer)


def test_what_is_no_http_is_an_error(server: Server, tmp_path: Path) -> None:
    def noise(handler: Handler) -> bool:
        handler.wfile.write(b"\0" * 100_000)
        handler.close_connection = True
        return True

    fails(server, tmp_path / "place", noise)


def test_an_address_where_nobody_listens_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        update.pull("https://127.0.0.1:9/", tmp_path / "place", test=True)
