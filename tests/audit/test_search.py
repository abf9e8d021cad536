"""A marked picture is found in every form in which a program would leave it."""

from __future__ import annotations

import base64
import io
import re
import zlib

import numpy as np
import pytest
from PIL import Image

from safelight.audit import mark, search
from safelight.testing import canary, scenes

MARK = mark.new("held back", 7)
RGB = MARK.onto(canary.at_size(canary.load("cup"), mark.SIZE))
Y = np.asarray(scenes.picture_from_rgb(RGB).y)
MARKED = search.Marked(MARK, [(Y, RGB)])
GREY = (RGB @ np.array([0.3, 0.6, 0.1])).astype(np.uint8)


def file(rgb: np.ndarray, kind: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, kind)
    return out.getvalue()


THUMB = np.asarray(Image.fromarray(RGB).resize((160, 90)))
FORMS = {
    "luma": Y.tobytes(),
    "not at the start": b"abc" + Y.tobytes(),
    "part of it": Y[100:200, 20:400].tobytes(),
    "rgb": RGB.tobytes(),
    "bgr": np.ascontiguousarray(RGB[..., ::-1]).tobytes(),
    "another grey": GREY.tobytes(),
    "negative": (255 - GREY).tobytes(),
    "floats": ((RGB.astype(np.float32) - 100) / 50).transpose(2, 0, 1)[:1].tobytes(),
    "half the size": np.asarray(Image.fromarray(RGB).resize((320, 180))).tobytes(),
    "png": b"something" + file(RGB, "png"),
    "jpeg": file(RGB, "jpeg"),
    "small jpeg": file(THUMB, "jpeg"),
    "compressed": zlib.compress(Y.tobytes()),
    "base64": base64.b64encode(Y.tobytes()),
    "base64 after a word": b"frame\n" + base64.encodebytes(Y.tobytes()),
    "hex": Y.tobytes().hex().encode(),
    "hex with colons": b"at 1: " + Y[100:200].tobytes().hex(":").encode(),
    "png as base64": base64.b64encode(file(RGB, "png")),
}


@pytest.mark.parametrize("form", FORMS)
def test_it_is_found(form: str) -> None:
    assert search.find(FORMS[form], MARKED) is not None


OTHER = mark.new("another", 8).onto(scenes.scene(1.0, mark.SIZE))
NOTHING = {
    "noise": np.random.default_rng(1).bytes(1 << 17),
    "zeros": bytes(1 << 16),
    "text": b"135 pictures in: 75 released\n" * 2000,
    "another mark": OTHER[:100].tobytes(),
    "another mark in a file": file(OTHER, "png"),
    "the drawing without a mark": file(canary.at_size(canary.load("cup"), mark.SIZE), "jpeg"),
    "empty": b"",
}


@pytest.mark.parametrize("form", NOTHING)
def test_what_is_something_else_is_not(form: str) -> None:
    assert search.find(NOTHING[form], MARKED) is None


@pytest.mark.timeout(60)
@pytest.mark.parametrize("runs", [search._BASE64, search._HEX], ids=["base64", "hex"])
def test_a_large_raw_picture_of_somebody_else_is_looked_through_once(
    runs: re.Pattern[bytes],
) -> None:
    # From every sign of every run it would take many minutes.
    assert runs.findall((b"a" * 1900 + b"\x00") * 34_000) == []
