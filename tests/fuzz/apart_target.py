"""The messages of the process that decodes, taken to be a stranger's: believed in no field."""

from __future__ import annotations

import math
import struct
from fractions import Fraction
from typing import Final

import numpy as np
from tests.fuzz.target import Target, check, check_one_line

from safelight.media import apart_wire
from safelight.media.apart_ring import SLOT_BYTES
from safelight.media.apart_wire import (
    End,
    Failed,
    LeftOut,
    LieError,
    Opened,
    PictureIn,
    Sealed,
    SoundIs,
    Why,
)
from safelight.media.av_decode import ToldSound
from safelight.media.fitness import UnfitPictureError
from safelight.types import PictureFormat, Sound

_RATE: Final = 48_000


def run(data: bytes) -> None:
    try:
        message = apart_wire.parse(data)
    except LieError:
        return
    except UnfitPictureError as error:
        check_one_line(str(error))
        return
    match message:
        case PictureIn(_, _, base, form):
            check(base > 0, "a picture whose time stands still")
            check(form.width * form.height * 3 // 2 <= SLOT_BYTES, "larger than a slot")
            check(min(form.width, form.height) >= 16, "a picture of nothing")
            check(form.width % 2 == form.height % 2 == 0, "half a chroma sample")
        case SoundIs(_, sound):
            check(bool((np.abs(sound.samples) <= 1).all()), "sound beyond what can be heard")
        case Opened(rate, _, duration_s, _):
            check(math.isfinite(rate), "a rate that is no number")
            check(duration_s is None or math.isfinite(duration_s), "a length that is no number")
        case LeftOut(kind, what, count):
            check(count > 0, "nothing was left out")
            check_one_line(f"{kind} {what}")
        case Failed(_, what, hint):
            check_one_line(f"{what} {hint}")
            check("://" not in what + hint, "an error that leads somewhere")
    if not isinstance(message, SoundIs):
        again = apart_wire.parse(apart_wire.pack(message))
        check(again == message, "it packs as another message")


def seeds() -> tuple[bytes, ...]:
    forms = (PictureFormat(64, 48), PictureFormat(1280, 720, True, 1, 1, 1))
    tone = np.linspace(-1, 1, 64, dtype=np.float32).reshape(2, 32)
    messages: tuple[apart_wire.Message, ...] = (
        Sealed(),
        Opened(30.0, 90, 3.0, ToldSound(_RATE, 2)),
        Opened(0.0, None, None, ToldSound()),
        *(PictureIn(slot, 500, Fraction(1, 90_000), form) for slot, form in enumerate(forms)),
        SoundIs(1024, Sound(_RATE, tone)),
        LeftOut("side_data", "a53_cc", 3),
        End(),
        *(Failed(why, "it cannot be read", "record it again") for why in Why),
    )
    return tuple(map(apart_wire.pack, messages))


TARGET = Target(
    run,
    seeds,
    words=tuple(struct.pack("<f", value) for value in (0.0, 1.0, -1.5, 1e-38, float("nan")))
    + tuple(struct.pack("<I", value) for value in (0, 1, 15, 16, 7680, 65536, 0xFFFFFFFF))
    + (b"://", b"\x1b[2J", b"{source}"),
    text=False,
    pieces=4000,
    max_len=512,
)
