"""What a process that decodes says to the guard, and may not say.

One message a packet, each of fields of fixed size; two kinds end in a short text. Everything
is checked here as it comes in: the other side is taken to be in a stranger's hands.
"""

from __future__ import annotations

import enum
import json
import math
import re
import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from safelight.media.address import Address, Kind
from safelight.media.av_decode import ToldSound
from safelight.media.av_sound import AAC_RATES, CHUNK
from safelight.media.decoding import Order
from safelight.media.fitness import check_matrix, check_size, check_transfer
from safelight.types import PictureFormat, Sound

MAX_BYTES: Final = 16_384  # of a message: the largest chunk of sound takes half
MAX_ORDER_BYTES: Final = 65_536
# Stands for the address in a text: the guard puts it in, and the other side cannot.
SOURCE: Final = "{source}"

_MAX_TEXT: Final = 300
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ .,()+-]{0,63}")
_MAX_COUNT: Final = 1 << 53

_OPENED: Final = struct.Struct("<BdqdIB")
_PICTURE: Final = struct.Struct("<BBqIIHHBBBBII")
_SOUND: Final = struct.Struct("<BqIBH")
_LEFT_OUT: Final = struct.Struct("<BIBB")
_FAILED: Final = struct.Struct("<BBHH")
_ALONE: Final = struct.Struct("<B")


class LieError(Exception):
    """A message that cannot be meant."""


class _Is(enum.IntEnum):
    SEALED = 1
    OPENED = 2
    PICTURE = 3
    SOUND = 4
    LEFT_OUT = 5
    END = 6
    FAILED = 7


class Why(enum.IntEnum):
    """What kind of failure ends a source."""

    SOURCE = 1  # cannot be opened
    LATE = 2  # no publisher came
    LEFT = 3  # a publisher came and went
    UNREADABLE = 4
    BROKE_OFF = 5
    UNFIT = 6
    BROKE = 7  # the process itself


@dataclass(frozen=True, slots=True)
class Sealed:
    """It can open nothing any more, and has looked at no media yet."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What is known before the first picture; 0.0, None and ``ToldSound(0, 0)`` for unknown."""

    frame_rate: float
    frames: int | None
    duration_s: float | None
    sound: ToldSound


@dataclass(frozen=True, slots=True)
class PictureIn:
    """A picture lies in a slot of the ring."""

    slot: int
    pts: int
    time_base: Fraction
    format: PictureFormat


@dataclass(frozen=True, slots=True)
class SoundIs:
    """A chunk of sound, ``pts`` in samples."""

    pts: int
    sound: Sound


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something is not passed on."""

    kind: str
    what: str
    count: int


@dataclass(frozen=True, slots=True)
class End:
    """It ended as it should."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It ended otherwise."""

    why: Why
    what: str
    hint: str


Message = Sealed | Opened | PictureIn | SoundIs | LeftOut | End | Failed


def pack(message: Message) -> bytes:
    """Return the bytes of a message."""
    match message:
        case Sealed():
            return _ALONE.pack(_Is.SEALED)
        case End():
            return _ALONE.pack(_Is.END)
        case Opened(rate, frames, duration_s, sound):
            many = -1 if frames is None else frames
            length = -1.0 if duration_s is None else duration_s
            return _OPENED.pack(_Is.OPENED, rate, many, length, sound.rate, sound.channels)
        case PictureIn(slot, pts, base, form):
            return _PICTURE.pack(
                *(_Is.PICTURE, slot, pts, base.numerator, base.denominator),
                *(form.width, form.height, form.full_range),
                *(form.matrix, form.primaries, form.transfer),
                *(form.sample_aspect.numerator, form.sample_aspect.denominator),
            )
        case SoundIs(pts, sound_is):
            channels, many = sound_is.samples.shape
            head = _SOUND.pack(_Is.SOUND, pts, sound_is.rate, channels, many)
            return head + sound_is.samples.astype("<f4", copy=False).tobytes()
        case LeftOut(kind, what, count):
            texts = kind.encode("ascii", "replace")[:64], what.encode("ascii", "replace")[:64]
            head = _LEFT_OUT.pack(_Is.LEFT_OUT, min(count, 0xFFFFFFFF), *map(len, texts))
            return head + b"".join(texts)
        case Failed(why, what, hint):
            texts = what[:_MAX_TEXT].encode(), hint[:_MAX_TEXT].encode()
            return _FAILED.pack(_Is.FAILED, why, *map(len, texts)) + b"".join(texts)


def parse(data: bytes) -> Message:
    """Read a message.

    Raises:
        LieError: it is none, or says what cannot be.
    """
    try:
        return _parse(data)
    except (struct.error, ValueError, ZeroDivisionError, IndexError) as error:
        raise LieError(str(error)) from error


def _parse(data: bytes) -> Message:
    match _Is(data[0]):
        case _Is.SEALED:
            _ALONE.unpack(data)
            return Sealed()
        case _Is.END:
            _ALONE.unpack(data)
            return End()
        case _Is.OPENED:
            return _opened(data)
        case _Is.PICTURE:
            return _picture(data)
        case _Is.SOUND:
            return _sound(data)
        case _Is.LEFT_OUT:
            _, count, *sizes = _LEFT_OUT.unpack(data[: _LEFT_OUT.size])
            kind, what = (text.decode("ascii") for text in _split(data[_LEFT_OUT.size :], sizes))
            if count < 1 or not _NAME.fullmatch(kind) or not _NAME.fullmatch(what):
                raise ValueError("no name of what is left out")
            return LeftOut(kind, what, count)
        case _Is.FAILED:
            _, why, *sizes = _FAILED.unpack(data[: _FAILED.size])
            what, hint = (text.decode() for text in _split(data[_FAILED.size :], sizes))
            for text in (what, hint):
                # Shown to a person: one short line that leads nowhere.
                if len(text) > _MAX_TEXT or not text.isprintable() or "://" in text:
                    raise ValueError("no line to be shown")
            return Failed(Why(why), what, hint)


def _opened(data: bytes) -> Opened:
    _, frame_rate, frames, duration_s, rate, channels = _OPENED.unpack(data)
    known = frame_rate == 0 or 1 <= frame_rate <= 1000  # false for NaN
    if not known or not -1 <= frames < _MAX_COUNT or not math.isfinite(duration_s):
        raise ValueError("no such stream")
    if (rate, channels) != (0, 0):
        _check_sound(rate, channels)
    return Opened(
        frame_rate,
        None if frames < 0 else frames,
        None if duration_s < 0 else duration_s,
        ToldSound(rate, channels),
    )


def _picture(data: bytes) -> PictureIn:
    _, slot, pts, above, below, width, height, *more = _PICTURE.unpack(data)
    full, matrix, primaries, transfer, aspect_above, aspect_below = more
    if full > 1 or not (0 < aspect_above <= 65535 and 0 < aspect_below <= 65535) or not above:
        raise ValueError("no picture")
    check_size(width, height)
    form = PictureFormat(
        width=width,
        height=height,
        full_range=bool(full),
        matrix=check_matrix(matrix),
        primaries=primaries,
        transfer=check_transfer(transfer),
        sample_aspect=Fraction(aspect_above, aspect_below),
    )
    return PictureIn(slot, pts, Fraction(above, below), form)


def _sound(data: bytes) -> SoundIs:
    _, pts, rate, channels, many = _SOUND.unpack(data[: _SOUND.size])
    _check_sound(rate, channels)
    if not 0 < many <= CHUNK or len(data) != _SOUND.size + 4 * channels * many:
        raise ValueError("no chunk of sound")
    samples = np.frombuffer(data, "<f4", offset=_SOUND.size).reshape(channels, many)
    if not (np.abs(samples) <= 1).all():  # false for NaN
        raise ValueError("no sound")
    return SoundIs(pts, Sound(rate, samples.astype(np.float32)))


def _check_sound(rate: int, channels: int) -> None:
    if rate not in AAC_RATES or channels not in (1, 2):
        raise ValueError("no such sound")


def _split(data: bytes, sizes: list[int]) -> tuple[bytes, bytes]:
    first, second = sizes
    if len(data) != first + second:
        raise ValueError("a text of another length")
    return data[:first], data[first:]


def pack_order(order: Order) -> bytes:
    """Return the bytes of an order. Not in arguments: an address may hold a stream key."""
    address, told = order.address, order.told
    return json.dumps(
        {
            "address": [address.kind.value, address.target, address.host, address.port],
            "live": order.live,
            "answer_s": order.answer_s,
            "stall_s": order.stall_s,
            "accept_s": order.accept_s,
            "told": None if told is None else [told.rate, told.channels],
        }
    ).encode()


def parse_order(data: bytes) -> Order:
    """Read an order, which comes from the guard and is believed."""
    said = json.loads(data)
    kind, *rest = said.pop("address")
    told = said.pop("told")
    return Order(
        Address(Kind(kind), *rest), told=None if told is None else ToldSound(*told), **said
    )
