"""A process that reads and decodes one source, and can do nothing else: ``safelight-source``.

It is told what to open over its channel (its arguments are for all to see), opens it, shuts
itself in, and only then looks at what came. Pictures go into the ring, everything else over
the channel. Its arguments: the channel, the ring, and the guard's process number.
"""

from __future__ import annotations

import codecs
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from typing import Any, Final, NoReturn, cast

import av

# The binding loads this by itself, at the first stream of subtitles: too late.
import av.subtitles.stream
import av.subtitles.subtitle

from safelight.errors import SafelightError
from safelight.media import apart_seal
from safelight.media.address import Kind
from safelight.media.apart_ring import SLOTS, Outbox
from safelight.media.apart_wire import (
    MAX_ORDER_BYTES,
    SOURCE,
    End,
    Failed,
    LeftOut,
    Message,
    Opened,
    PictureIn,
    Sealed,
    SoundIs,
    Why,
    pack,
    parse_order,
)
from safelight.media.av_decode import Decoded, Decoder, ToldSound, UnreadableError, unreadable
from safelight.media.av_open import Opened as Container
from safelight.media.av_open import PublisherLeftError, open_container
from safelight.media.av_picture import Upright, to_upright
from safelight.media.decoding import DecodingHere, Order
from safelight.media.fitness import UnfitPictureError
from safelight.media.tally import Tally
from safelight.sealing import kernel, steps
from safelight.types import Picture, Sound

# What the kernel keeps of "safelight-source": 15 bytes.
NAME: Final = "safelight-source"
# libavformat/mpegts.c, after EN 300 468.
_ALPHABETS: Final = (
    *("ISO6937", *(f"ISO-8859-{part}" for part in range(1, 16) if part != 12)),
    *("UCS-2BE", "KSC_5601", "GB2312", "BIG5", "UTF-8"),
)
_CODECS: Final = ("utf-8", "ascii", "latin-1")


class _Viewing(Decoder):
    """A decoder whose pictures stay in libav's memory until they lie in the ring."""

    def take(self, frame: av.VideoFrame, sample_aspect: Fraction | None) -> Picture:
        return cast(Picture, to_upright(frame, sample_aspect))


class _Telling(Tally):
    """Counts by telling the guard, which counts."""

    def __init__(self, say: Callable[[Message], None]) -> None:
        super().__init__()
        self._say = say

    def add(self, kind: str, what: str, count: int = 1) -> None:
        if count >= 1:
            self._say(LeftOut(str(kind), what, count))


class Process:
    """The process's side: says messages, and puts pictures where the guard finds them."""

    def __init__(self, channel: int, ring: int) -> None:
        self.channel = channel
        self._ring = Outbox(ring)
        self._free = list(range(SLOTS))

    def order(self) -> Order:
        """Wait to be told what to open; ends with the guard."""
        data = os.read(self.channel, MAX_ORDER_BYTES)
        if not data:
            os._exit(0)
        return parse_order(data)

    def wait_for_leave(self) -> None:
        """Say that it is sealed, and wait until the guard has seen it to be so."""
        self.say(Sealed())
        if not os.read(self.channel, 1):
            os._exit(0)

    def say(self, message: Message) -> None:
        """Say something to the guard."""
        os.write(self.channel, pack(message))

    def show(self, pts: int, time_base: Fraction, picture: Upright, *, live: bool) -> None:
        """Show a picture to the guard; waits until there is a free slot."""
        while SLOTS - len(self._free) >= self._ring.most_ahead(picture.format, live=live):
            freed = os.read(self.channel, SLOTS)
            if not freed:
                os._exit(0)
            self._free += freed
        slot = self._free.pop()
        self._ring.put(slot, picture)
        self.say(PictureIn(slot, pts, time_base, picture.format))


def decode(process: Process, order: Order, seal: Callable[[Kind, int | None], None]) -> None:
    """Open what is ordered, seal, and pass on what comes."""
    tally = _Telling(process.say)

    def sealed(file: int | None = None) -> None:
        seal(order.address.kind, file)
        process.wait_for_leave()

    opened = open_container(
        order.address,
        answer_s=order.answer_s,
        stall_s=order.stall_s,
        accept_s=order.accept_s,
        seal=sealed,
    )

    def viewing(container: Container) -> Decoder:
        return _Viewing(container.container, tally, live=order.live, told=order.told)

    decoding = DecodingHere(opened, viewing, live=order.live)
    _pass_on(process, decoding, iter(decoding), live=order.live)


def _pass_on(
    process: Process, decoding: DecodingHere, frames: Iterator[Decoded], *, live: bool
) -> None:
    said = False
    for decoded in frames:
        content = cast("Upright | Sound", decoded.content)
        if isinstance(content, Sound):
            process.say(SoundIs(decoded.pts, content))
            continue
        if not said:
            said = True
            info = decoding.describe(content.format)
            sound = ToldSound(info.sound_rate or 0, info.sound_channels or 0)
            process.say(Opened(info.frame_rate, info.frames, info.duration_s, sound))
        process.show(decoded.pts, decoded.time_base, content, live=live)


def failure(error: BaseException, shown: str) -> Failed:
    """Return what to say of an error; the guard puts the address in."""
    if isinstance(error, UnreadableError):
        why = Why.BROKE_OFF if error.broke_off else Why.UNREADABLE
    elif isinstance(error, UnfitPictureError):
        why = Why.UNFIT
    elif isinstance(error, SafelightError):
        why = Why.SOURCE
    elif isinstance(error, PublisherLeftError):
        return Failed(Why.LEFT, "", "")
    elif isinstance(error, TimeoutError):
        return Failed(Why.LATE, "", "")
    elif isinstance(error, ValueError):
        return failure(unreadable(), shown)
    else:
        return Failed(Why.BROKE, type(error).__name__, "")
    known = cast(Any, error)
    return Failed(why, known.what.replace(shown, SOURCE), known.hint)


def main(run: Callable[[Process, Order], None] | None = None) -> NoReturn:
    """Be the process. ``run``: what to do with an order; another one is for tests."""
    # The guard decides when this ends: a Ctrl-C meant for it must not come here first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    steps.die_with_parent(int(sys.argv[3]))
    kernel.set_name(NAME)
    apart_seal.hide()
    _load_everything()
    process = Process(int(sys.argv[1]), int(sys.argv[2]))
    order = process.order()
    message: Message = End()
    try:
        (run or _run)(process, order)
    except BaseException as error:  # noqa: BLE001  (whatever it was ends the source)
        message = failure(error, order.address.shown)
    with suppress(OSError):  # the guard is gone
        process.say(message)
        # Ending with something unread would throw away what the guard has not heard yet.
        while os.read(process.channel, SLOTS):
            continue
    os._exit(0)


def _load_everything() -> None:
    """Load what is else loaded at its first use: once sealed, that would end this process."""
    for name in _CODECS:
        codecs.lookup(name)
    _load_alphabets()


def _load_alphabets() -> None:
    """Load those that names in MPEG-TS may be written in; the C library keeps what is open."""
    library = ctypes.CDLL(None)
    if hasattr(library, "iconv_open"):
        library.iconv_open.restype = ctypes.c_void_p
        for name in _ALPHABETS:
            library.iconv_open(b"UTF-8", name.encode())


def _run(process: Process, order: Order) -> None:
    def seal(kind: Kind, file: int | None) -> None:
        apart_seal.seal(kind, channel=process.channel, file=file)

    address = order.address
    if address.host is not None:
        # The C library loads what looks up names at its first use. libav asks again, and says
        # what is wrong with a name.
        with suppress(OSError, UnicodeError):
            socket.getaddrinfo(address.host, address.port)
    apart_seal.reach(address.kind)
    decode(process, order, seal)


if __name__ == "__main__":
    main()
