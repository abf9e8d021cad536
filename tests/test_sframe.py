"""Our test-only SFrame agrees with the RFC's own vectors: else it would show nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.sframe import SUITES, Key, NotAuthenticError, header, read_header
from tests.source import ROOT

FILE = ROOT.parent / "shared" / "vectors" / "sframe-rfc9605.json"


@pytest.fixture(scope="module")
def vectors() -> dict[str, list[dict[str, Any]]]:
    if not FILE.is_file():
        pytest.skip("the vectors are absent: they are expected in ../shared/vectors")
    found: dict[str, list[dict[str, Any]]] = json.loads(FILE.read_text())
    return found


def test_headers(vectors: dict[str, list[dict[str, Any]]]) -> None:
    for case in vectors["header"]:
        made = header(case["kid"], case["ctr"])
        assert made.hex() == case["encoded"]
        assert read_header(made) == (case["kid"], case["ctr"], len(made))


def test_whole_ciphertexts_of_every_suite(vectors: dict[str, list[dict[str, Any]]]) -> None:
    assert {case["cipher_suite"] for case in vectors["sframe"]} == set(SUITES)
    for case in vectors["sframe"]:
        key = Key(SUITES[case["cipher_suite"]], case["kid"], bytes.fromhex(case["base_key"]))
        assert key.secret.hex() == case["sframe_secret"]
        assert key.key.hex() == case["sframe_key"]
        assert key.salt.hex() == case["sframe_salt"]
        assert key.nonce(case["ctr"]).hex() == case["nonce"]
        metadata, plain = bytes.fromhex(case["metadata"]), bytes.fromhex(case["pt"])
        made = key.encrypt(case["ctr"], metadata, plain)
        assert made.hex() == case["ct"]
        assert key.decrypt(metadata, made) == plain
        for at in range(len(made)):
            changed = made[:at] + bytes([made[at] ^ 1]) + made[at + 1 :]
            with pytest.raises(NotAuthenticError):
                key.decrypt(metadata, changed)
