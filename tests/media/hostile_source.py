"""A process that decodes, in a stranger's hands: seals itself, then does what it is told to.

What it does is the last part of the path that it is asked to open. For ``Apart(program=…)``.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Final

import numpy as np

from safelight.media import apart_process, apart_seal
from safelight.media.address import Kind
from safelight.media.apart_process import Process
from safelight.media.apart_ring import SLOTS
from safelight.media.apart_wire import LeftOut, Opened, Sealed, SoundIs, pack
from safelight.media.av_decode import ToldSound
from safelight.media.av_picture import Upright
from safelight.media.decoding import Order
from safelight.types import PictureFormat, Sound

FORM: Final = PictureFormat(64, 48)
BASE: Final = Fraction(1, 30)
OPENED: Final = Opened(30.0, None, None, ToldSound(48000, 2))
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_OTHER, _FILE = os.memfd_create("other"), os.memfd_create("file")

Act = Callable[[Process], object]


def sound(rate: int = 48000, channels: int = 2, value: float = 0.0, many: int = 64) -> bytes:
    return pack(SoundIs(0, Sound(rate, np.full((channels, many), value, np.float32))))


def picture(number: int, level: int = 90) -> Callable[[Process], None]:
    def show(process: Process) -> None:
        planes = (np.full(s, level, np.uint8) for s in ((48, 64), (24, 32), (24, 32)))
        process.show(number, BASE, Upright(FORM, *planes), live=False)

    return show


def _raw_picture(**other: int) -> bytes:
    fields = {
        **{"kind": 3, "slot": 0, "pts": 0, "above": 1, "below": 30, "width": 64, "height": 48},
        **{"full": 0, "matrix": 1, "primaries": 1, "transfer": 1},
        **{"aspect_above": 1, "aspect_below": 1},
    }
    return struct.pack("<BBqIIHHBBBBII", *(fields | other).values())


def _raw_opened(**other: float) -> bytes:
    fields = {"kind": 2, "rate": 30.0, "frames": -1, "length": -1.0, "sound": 48000, "channels": 2}
    said = {**fields, **other}
    return struct.pack("<BdqdIB", *said.values())


def _text(kind: int, head: bytes, first: bytes, second: bytes) -> bytes:
    sizes = struct.pack("<HH" if kind == 7 else "<BB", len(first), len(second))
    return bytes([kind]) + head + sizes + first + second


def _failed(what: bytes, hint: bytes = b"do it", why: int = 1) -> bytes:
    return _text(7, bytes([why]), what, hint)


def _left_out(kind: bytes, what: bytes, count: int = 1) -> bytes:
    return _text(5, struct.pack("<I", count), kind, what)


_OPEN: Final = pack(OPENED)
_NAN, _INF = float("nan"), float("inf")

# What is said once sealed: each must end the source, and no picture of it may come out.
LIES: Final[dict[str, list[bytes]]] = {
    "picture_first": [_raw_picture()],
    "sealed_again": [pack(Sealed())],
    "opened_twice": [_OPEN, _OPEN],
    "no_kind": [b"\0"],
    "another_kind": [b"\x63" + _OPEN[1:]],
    "longer": [_OPEN + b"\0"],
    "shorter": [_OPEN[:-1]],
    "end_with_more": [b"\6\0"],
    "endless": [b"\3" * 16_000],
    "slot_that_is_not": [_OPEN, _raw_picture(slot=SLOTS)],
    "slot_far_away": [_OPEN, _raw_picture(slot=255)],
    "no_width": [_OPEN, _raw_picture(width=0)],
    "odd_width": [_OPEN, _raw_picture(width=65)],
    "vast": [_OPEN, _raw_picture(width=65534, height=65534)],
    "just_too_large": [_OPEN, _raw_picture(width=7682, height=4320)],
    "too_tall": [_OPEN, _raw_picture(width=7680, height=7680)],
    "colours_unseen": [_OPEN, _raw_picture(matrix=8)],
    "high_dynamic_range": [_OPEN, _raw_picture(transfer=16)],
    "range_unknown": [_OPEN, _raw_picture(full=2)],
    "no_time": [_OPEN, _raw_picture(below=0)],
    "time_stands": [_OPEN, _raw_picture(above=0)],
    "no_aspect": [_OPEN, _raw_picture(aspect_below=0)],
    "vast_aspect": [_OPEN, _raw_picture(aspect_above=1 << 31)],
    "rate_nan": [_raw_opened(rate=_NAN)],
    "rate_infinite": [_raw_opened(rate=_INF)],
    "rate_negative": [_raw_opened(rate=-1.0)],
    "length_nan": [_raw_opened(length=_NAN)],
    "frames_negative": [_raw_opened(frames=-2)],
    "sound_of_no_rate": [_raw_opened(sound=1)],
    "sound_of_nine": [_raw_opened(channels=9)],
    "sound_nan": [_OPEN, sound(value=_NAN)],
    "sound_infinite": [_OPEN, sound(value=_INF)],
    "sound_too_loud": [_OPEN, sound(value=1.5)],
    "sound_too_long": [_OPEN, sound(many=1025)],
    "sound_empty": [_OPEN, sound(many=0)],
    "sound_cut_off": [_OPEN, sound()[:-4]],
    "sound_other_rate": [_OPEN, sound(rate=44100)],
    "sound_other_channels": [_OPEN, sound(channels=1)],
    "sound_untold": [pack(Opened(30.0, None, None, ToldSound())), sound()],
    "count_of_none": [_left_out(b"video", b"h264", 0)],
    "name_of_two_lines": [_left_out(b"video", b"a\nb")],
    "name_with_escape": [_left_out(b"video", b"\x1b[2J")],
    "name_empty": [_left_out(b"", b"x")],
    "names_without_end": [pack(LeftOut("video", f"x{n}", 1)) for n in range(300)],
    "text_of_two_lines": [_failed(b"a\nb")],
    "text_with_escape": [_failed(b"\x1b]8;;x")],
    "text_that_leads_away": [_failed(b"see http://x.test")],
    "text_too_long": [_failed(b"a" * 301)],
    "text_no_utf_8": [_failed(b"\xff")],
    "why_unknown": [_failed(b"a", why=99)],
    "text_cut_off": [_failed(b"abc")[:-2]],
}  # fmt: skip


def _overwrite(process: Process) -> None:
    """Show one picture, then go on writing into the slot that it lay in."""
    process.say(OPENED)
    slot = process._free[-1]
    picture(0)(process)
    planes = [np.full(s, 200, np.uint8) for s in ((48, 64), (24, 32), (24, 32))]
    until = time.monotonic() + 20
    while time.monotonic() < until:
        process._ring.put(slot, Upright(FORM, *planes))


def _then(act: Act) -> Act:
    """Show two pictures, act, and show three more."""

    def all_of_it(process: Process) -> None:
        process.say(OPENED)
        for number in range(2):
            picture(number)(process)
        act(process)
        for number in range(2, 5):
            picture(number)(process)

    return all_of_it


def _page() -> int:
    page = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return ctypes.addressof(ctypes.c_char.from_buffer(page))


# What is tried once sealed: each must kill.
ESCAPES: Final[dict[str, Act]] = {
    "open_to_read": lambda _: os.open("/etc/hostname", os.O_RDONLY),
    "open_to_write": lambda _: os.open("/tmp/x", os.O_WRONLY | os.O_CREAT),
    "open_own_memory": lambda _: os.open("/proc/self/mem", os.O_RDWR),
    "stat": lambda _: os.stat("/"),
    "list": lambda _: os.listdir("/"),
    "remove": lambda _: os.unlink("/tmp/x"),
    "socket_tcp": lambda _: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    "socket_udp": lambda _: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "socket_unix": lambda _: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
    "pipe": lambda _: os.pipe(),
    "connect": lambda _: _LIBC.connect(0, None, 0),
    "listen": lambda _: _LIBC.listen(0, 1),
    "accept": lambda _: _LIBC.accept(0, None, None),
    "exec": lambda _: os.execv("/bin/true", ["true"]),  # noqa: S606
    "fork": lambda _: os.fork(),
    "signal_guard": lambda _: os.kill(os.getppid(), signal.SIGTERM),
    "ptrace": lambda _: _LIBC.ptrace(0, 0, 0, 0),
    "read_other_memory": lambda _: _LIBC.process_vm_readv(1, None, 0, None, 0, 0),
    "executable_memory": lambda _: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC),
    "shared_memory": lambda _: mmap.mmap(-1, 4096),
    "make_executable": lambda _: _LIBC.mprotect(ctypes.c_void_p(_page()), 4096, 5),
    "read_elsewhere": lambda _: os.read(_OTHER, 1),
    "write_elsewhere": lambda _: os.write(_OTHER, b"x"),
    "seek_elsewhere": lambda _: os.lseek(_OTHER, 0, os.SEEK_SET),
    "dumpable_again": lambda _: _LIBC.prctl(4, 1, 0, 0, 0),
    "another_filter": lambda _: _LIBC.syscall(ctypes.c_long(317), 0, 0, 0),
    "unshare": lambda _: _LIBC.unshare(0),
    "memfd": lambda _: os.memfd_create("x"),
    "duplicate": lambda _: os.dup(0),
    "set_limit": lambda _: _LIBC.prlimit64(0, 7, None, None),
}


# Of these, what is refused from the first filter on, while a network source connects.
EARLY: Final = tuple(
    f"early_{name}"
    for name in (
        *("open_to_write", "open_own_memory", "remove", "exec", "fork", "ptrace", "memfd"),
        *("read_other_memory", "executable_memory", "make_executable", "signal_guard", "pipe"),
        *("dumpable_again", "duplicate"),
    )
)


def _thread() -> None:
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()


# These it needs.
HARMLESS: Final[dict[str, Act]] = {
    "thread": lambda _: _thread(),
    "memory": lambda _: [bytearray(size) for size in (10, 10**6, 10**8)],
    "sleep": lambda _: time.sleep(0.01),
}


def _say_all(messages: list[bytes]) -> Act:
    def say(process: Process) -> None:
        for message in messages:
            os.write(process.channel, message)
        # A lie after which it goes on as if nothing were: believed, it would show pictures.
        if not any(message[0] == _OPEN[0] for message in messages):
            process.say(OPENED)
        for number in range(3):
            picture(number)(process)

    return say


def _seal(process: Process, kind: Kind, file: int | None) -> None:
    apart_seal.reach(kind)
    apart_seal.seal(kind, channel=process.channel, file=file)


def run(process: Process, order: Order) -> None:
    what = order.address.target.rpartition("/")[2]
    kind = order.address.kind
    if what == "opened_before_sealed":
        _say_all([_OPEN])(process)
        return
    if what == "dies_at_once":
        os._exit(0)
    if what == "not_sealed":
        process.wait_for_leave()
        return
    if what == "dumpable":
        # Every layer but one.
        vars(apart_seal)["hide_this_process"] = tuple
        _LIBC.prctl(4, 1, 0, 0, 0)
    if what in EARLY:
        # Connected to nobody yet: under the first of two filters.
        apart_seal.reach(kind)
        ESCAPES[what.removeprefix("early_")](process)
        process.wait_for_leave()
    _seal(process, kind, _FILE if kind is Kind.FILE else None)
    process.wait_for_leave()
    acts: dict[str, Act] = {
        **{name: _say_all(messages) for name, messages in LIES.items()},
        **{name: _then(act) for name, act in (ESCAPES | HARMLESS).items()},
        "overwrite": _overwrite,
        "dies": _then(lambda _: os._exit(0)),
        "crashes": _then(lambda _: ctypes.string_at(1)),
        "hangs": _then(lambda _: time.sleep(60)),
        "broken": _then(lambda _: int("x", 36) // 0),
        "dumpable": _then(lambda _: None),
    }
    acts[what](process)


if __name__ == "__main__":
    sys.stderr = None
    apart_process.main(run)
