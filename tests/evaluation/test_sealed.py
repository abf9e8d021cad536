"""Sealed mode: nothing of an item leaves the room, and there is no network in it."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from tests.evaluation import planted
from tests.evaluation.namespace import can_be_without, without_network

from safelight.errors import UsageError
from safelight.evaluation import checking, manifest, protocol, sealed_command, sealing, signing
from safelight.evaluation.command import Request, Sealed
from safelight.evaluation.guarding import Setup
from safelight.evaluation.sealing import NetworkError
from safelight.testing import scenes
from safelight.testing.film import Film, read_back

SECRET = bytes(range(32))
SIZE = (128, 72)


class Room:
    """An isolated room: a corpus of films, a lab's folder, keys, and what leaves."""

    def __init__(self, folder: Path, films: int = 3) -> None:
        self.corpus, self.lab, self.out = (folder / n for n in ("corpus", "lab", "leaves"))
        self.corpus.mkdir()
        self.names = [f"holiday-of-somebody-{number}.mp4" for number in range(films)]
        for number, name in enumerate(self.names):
            with Film(self.corpus / name, SIZE, rate=10) as film:
                for index in range(12):
                    film.add(scenes.scene(number * 3 + index / 10, SIZE))
        broken = self.corpus / "broken-of-somebody.mp4"
        broken.write_bytes((self.corpus / self.names[0]).read_bytes()[:900])
        self.names.append(broken.name)
        items = [
            {
                "file": name,
                "stimulus": "none",
                **planted.BASE,
                "scene": "medical",
                "groups": {"sex": "very-secret-group"},
                "cluster": f"family-smith-{number}",
            }
            for number, name in enumerate(self.names)
        ]
        said = {
            "schema": "safelight.corpus/1",
            "id": "case-series-77",
            "title": "The seizure of a certain day",
            "purpose": "evaluation",
            "provenance": "taken from a certain person",
            "items": items,
        }
        (self.corpus / manifest.FILE).write_text(json.dumps(said), "utf-8")
        self.secret, self.key = folder / "lab.secret", folder / "lab.pem"
        self.secret.write_bytes(SECRET)
        self.private = Ed25519PrivateKey.generate()
        self.key.write_bytes(
            self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )

    @property
    def arguments(self) -> list[str]:
        return [
            "evaluate", str(self.corpus), "--out", str(self.out), "--sealed", "--jobs", "1",
            "--key", str(self.secret), "--sign-with", str(self.key), "--lab-dir", str(self.lab),
        ]  # fmt: skip

    def request(self) -> Request:
        return Request(self.corpus, self.out, None, Setup(), 1, sealed=True)

    def given(self) -> Sealed:
        return Sealed(self.secret, self.key, self.lab)


def run(room: Room) -> subprocess.CompletedProcess[str]:
    if not can_be_without():
        pytest.skip("namespaces without a network cannot be made here")
    return subprocess.run(
        without_network(sys.executable, "-m", "safelight", *room.arguments),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def traces(room: Room) -> dict[str, bytes]:
    """What would tell of an item, byte for byte, by what it is."""
    found: dict[str, bytes] = {"secret": SECRET, "secret as text": SECRET.hex().encode()}
    words = ["family-smith", "holiday", "somebody", "seizure", "certain person", "corpus.json"]
    words += ["case-series", "very-secret-group", "medical"]
    found |= {word: word.encode() for word in (*words, str(room.corpus))}
    for name in room.names:
        content = (room.corpus / name).read_bytes()
        digests = (hashlib.sha256(content), hashlib.sha1(content), hashlib.md5(content))  # noqa: S324
        for digest in digests:
            found[f"{digest.name} of {name}"] = digest.hexdigest().encode()
        found[f"start of {name}"] = content[48:80]
        found[f"text of {name}"] = base64.b64encode(content[48:96])
    for shown in read_back(room.corpus / room.names[0]):
        for row in (0, 20, 40):
            found[f"row {row} at {shown.at_s}"] = shown.luma[row].tobytes()
            found[f"colours of {row} at {shown.at_s}"] = shown.rgb[row].tobytes()
    return found


@pytest.mark.e2e
def test_a_run_without_a_network_lets_aggregates_out_and_nothing_else(tmp_path: Path) -> None:
    room = Room(tmp_path)
    ran = run(room)
    assert ran.returncode == 0, ran.stderr
    assert sorted(path.name for path in room.out.iterdir()) == [
        "protocol.json",
        sealing.LOG,
        sealing.RESULT,
        sealing.SIGNATURE,
    ]
    said = {path.name: path.read_bytes() for path in room.out.iterdir()}
    said |= {"standard output": ran.stdout.encode(), "standard error": ran.stderr.encode()}
    looked_for = traces(room)
    assert len(looked_for) > 50
    for name, content in said.items():
        for what, trace in looked_for.items():
            assert trace not in content, f"{name} holds {what}"
    # The search itself can find: the lab's own files lie beside.
    assert b"family-smith" in (room.corpus / manifest.FILE).read_bytes()
    result = json.loads(said[sealing.RESULT])
    for part in ("system", "detector", "ages", "groups"):
        for figure in result[part]:
            assert figure["value"] is None or figure["id"] == "system_leaks", figure
            assert figure["note"] in {"", "a small cell (under 10), or what would give one away"}
    assert (result["groups"], result["groups_are_whole"]) == ([], False)
    assert (result["items"], result["used"]) == ("suppressed", "suppressed")
    # Faulty items: that there are some is told outside, which is told in the lab, by number alone.
    assert result["faults"] == {"some": "suppressed"}
    # How long it took would tell how long the films are.
    assert len({path.stat().st_mtime_ns for path in room.out.iterdir()}) == 1
    lab = json.loads((room.lab / sealing.FAULTS).read_text("utf-8"))
    assert lab["faulty"] == [{"item": 3, "kind": "corrupt video"}]
    assert not any(name.encode() in (room.lab / sealing.FAULTS).read_bytes() for name in room.names)
    room.private.public_key().verify(said[sealing.SIGNATURE], said[sealing.RESULT])
    # What is in the protocol names the corpus by a keyed digest only, of files and manifest.
    corpus = manifest.read(room.corpus)
    digest = json.loads(said["protocol.json"])["corpus_digest"]
    files = checking.digests(corpus, room.corpus)
    assert digest == protocol.corpus_digest(corpus, SECRET, files)
    assert digest != protocol.corpus_digest(corpus, bytes(32), files)
    assert digest != protocol.corpus_digest(corpus, SECRET, files[::-1])
    assert not list(tmp_path.rglob("progress*"))
    assert said[sealing.LOG].decode().count("\n") < 20


def reachable(_self: socket.socket, _address: object) -> None:
    """As if there were a way."""


def unreachable(_self: socket.socket, _address: object) -> None:
    raise OSError(errno.ENETUNREACH, "Network is unreachable")


def broken(_self: socket.socket, _address: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("way", [reachable, broken])
def test_a_network_that_can_be_reached_or_not_be_told_refuses(
    way: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(tmp_path, films=1)
    monkeypatch.setattr(socket.socket, "connect", way)
    with pytest.raises(NetworkError) as error:
        sealed_command.evaluate(room.request(), room.given(), lambda *_: None)
    assert error.value.exit_status == 3
    assert not room.out.exists()
    assert not room.lab.exists()


def test_looking_for_a_network_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: list[int] = []

    def note(self: socket.socket, address: Any) -> None:
        kinds.append(self.type)
        # Reserved for documents: nobody's address.
        assert address[0] in {"192.0.2.1", "2001:db8::1"}
        raise OSError(errno.ENETUNREACH, "")

    monkeypatch.setattr(socket.socket, "connect", note)
    sealing.check_network()
    assert kinds == [socket.SOCK_DGRAM] * 2


@pytest.mark.parametrize("missing", ["secret", "key", "lab"])
def test_a_sealed_run_needs_all_that_it_is_given(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(tmp_path, films=1)
    monkeypatch.setattr(socket.socket, "connect", unreachable)
    given = {"secret": room.secret, "key": room.key, "lab": room.lab}
    kept = [None if name == missing else path for name, path in given.items()]
    with pytest.raises(UsageError, match="--key, --sign-with and --lab-dir"):
        sealed_command.evaluate(room.request(), Sealed(*kept), lambda *_: None)


def test_a_short_secret_or_another_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(bytes(31))
    with pytest.raises(UsageError, match="31 bytes"):
        signing.secret(tmp_path / "short")
    for name in ("short", "gone"):
        with pytest.raises(UsageError):
            signing.load(tmp_path / name)


@pytest.mark.parametrize("where", ["leaves/lab", "corpus/lab", "leaves"])
def test_what_leaves_and_what_stays_lie_apart(where: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lies in"):
        sealing.check_folders(tmp_path / "leaves", tmp_path / where, tmp_path / "corpus")


def test_earlier_runs_are_listed_and_a_list_that_was_changed_is_not_taken_for_none(
    tmp_path: Path,
) -> None:
    assert sealing.earlier_runs(tmp_path) == ()
    (tmp_path / sealing.RUNS).write_text("{}\n", "utf-8")
    with pytest.raises(UsageError, match="cannot be read"):
        sealing.earlier_runs(tmp_path)


def test_unsealed_flags_are_refused_without_sealed(tmp_path: Path) -> None:
    room = Room(tmp_path, films=1)
    arguments = [a for a in room.arguments if a != "--sealed"]
    ran = subprocess.run(
        [sys.executable, "-m", "safelight", *arguments], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "go with --sealed" in ran.stderr
