"""Opens and decodes in a process of its own, seen from the guard: starts it, believes nothing.

Whatever a stranger sends is parsed over there. Here a picture is copied once out of shared
memory, and a message is checked field by field; a message that cannot be meant, silence and
the process's death are faults of the source.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from safelight.errors import IsolationError, SourceError
from safelight.media.address import Address, Kind
from safelight.media.apart_child import Child
from safelight.media.apart_seal import FILTERS, OPEN_FILES
from safelight.media.apart_wire import (
    SOURCE,
    End,
    Failed,
    LeftOut,
    LieError,
    Message,
    Opened,
    PictureIn,
    Sealed,
    SoundIs,
    Why,
    pack_order,
    parse,
)
from safelight.media.av_decode import Decoded, ToldSound, UnreadableError
from safelight.media.av_open import PublisherLeftError
from safelight.media.decoding import Decoding, Order
from safelight.media.fitness import UnfitPictureError
from safelight.media.interface import SourceInfo
from safelight.media.tally import Tally
from safelight.sealing import kernel
from safelight.sealing.layers import REQUIRED
from safelight.sealing.observing import observed
from safelight.types import PictureFormat

PROGRAM: Final = "safelight.media.apart_process"
GO: Final = b"!"
HINT: Final = "start it again; if it happens again, the source may be made to break decoders"

# So long a file may give nothing while it is read: large pictures, a slow disk.
_FILE_S: Final = 60.0
# On top of what a live source may be silent for, and of what libav takes to notice.
_GRACE_S: Final = 5.0
# More kinds of things left out than any container holds.
_MAX_LEFT_OUT: Final = 256


def decodes_apart(address: Address) -> bool:
    """Whether this kind of source is decoded apart on this system: not devices and graphs."""
    return address.kind in FILTERS and kernel.is_linux()


class Apart:
    """Implements ``Decodes``: one process for each connection.

    ``allow_weak``: decode although layers that are required do not hold. ``program``: the
    module that the process runs; another one is for tests.
    """

    def __init__(self, *, allow_weak: bool = False, program: str = PROGRAM) -> None:
        self._allow_weak = allow_weak
        self._program = program
        self._lock = threading.Lock()
        self._closed = False
        self._running: list[Child] = []
        self._spare: Child | None = None
        self._used_before_s = 0.0

    def open(self, order: Order, tally: Tally) -> Decoding:
        """Open it over there. Raises what ``Decodes.open`` says."""
        process = self._next(order.address)
        try:
            remote = Remote(process, order, tally)
            if order.address.kind is Kind.LISTEN:
                # Loaded before it is needed: whoever comes next finds somebody listening.
                self._spare = self._start(order.address)
            remote.wait_until_sealed()
            self._refuse_weak(process, order.address)
            process.tell(GO)
        except BaseException:
            process.close()
            raise
        return remote

    def interrupt(self) -> None:
        """End every process. Safe to call twice."""
        with self._lock:
            self._closed = True
            running = tuple(self._running)
        for process in running:
            process.kill()

    def cpu_seconds(self) -> float:
        """CPU time that its processes have used so far, in seconds; those that ended count on."""
        with self._lock:
            return self._used_before_s + sum(p.cpu_seconds() for p in self._running)

    def pids(self) -> tuple[int, ...]:
        """Numbers of the processes that run, for those who want to look from outside."""
        with self._lock:
            return tuple(p.pid for p in self._running if not p.ended)

    def _next(self, address: Address) -> Child:
        spare, self._spare = self._spare, None
        return spare or self._start(address)

    def _start(self, address: Address) -> Child:
        try:
            process = Child(self._program)
        except OSError as error:
            raise SourceError(
                f"cannot open {address.shown}: the process that decodes does not start",
                "close other programs, and try again",
            ) from error
        with self._lock:
            self._used_before_s += sum(p.cpu_seconds() for p in self._running if p.closed)
            self._running = [p for p in self._running if not p.closed] + [process]
            closed = self._closed
        if closed:
            process.kill()
        return process

    def _refuse_weak(self, process: Child, address: Address) -> None:
        lacking = _lacking(process.pid, address.kind)
        if lacking and process.ended:
            raise SourceError(f"{address.shown}: {_ENDED}", HINT)
        if lacking and not self._allow_weak:
            raise IsolationError(
                f"the source cannot be decoded in isolation here (no {', '.join(lacking)})",
                "see safelight doctor, or allow it with --allow-weak-sandbox",
            )


def _lacking(pid: int, kind: Kind) -> list[str]:
    """Return the layers that the kernel does not show; what the process says is not believed."""
    seen = observed(pid, filters=FILTERS[kind], open_files=OPEN_FILES[kind])
    return sorted(set(REQUIRED) - seen)


def probe() -> str | None:
    """Say why no source can be decoded apart here; None where it can. Takes half a second."""
    if not kernel.is_linux():
        return "no sandbox is written for this system yet"
    # Any file will do: none of it is looked at.
    address = Address(Kind.FILE, __file__)
    try:
        process = Child(PROGRAM)
    except OSError as error:
        return error.strerror or "no process starts"
    try:
        order = Order(address, live=False, answer_s=1, stall_s=1)
        Remote(process, order, Tally()).wait_until_sealed()
        lacking = _lacking(process.pid, address.kind)
    except SourceError as error:
        return error.what
    finally:
        process.close()
    return f"no {', '.join(lacking)}" if lacking else None


class Remote:
    """Implements ``Decoding`` for one process. Not to be used before it is sealed."""

    def __init__(self, process: Child, order: Order, tally: Tally) -> None:
        self._process = process
        self._order = order
        self._tally = tally
        self._opened: Opened | None = None
        self._sound = order.told
        self._left_out: set[tuple[str, str]] = set()
        self._process.tell(pack_order(order))

    def wait_until_sealed(self) -> None:
        """Wait until it is open, and shut in. Raises what ``Decodes.open`` says."""
        patience: float | None = _FILE_S
        if self._order.address.kind is Kind.LISTEN:
            accept_s = self._order.accept_s
            patience = None if accept_s is None else accept_s + _GRACE_S
        elif self._order.live:
            patience = 3 * self._order.answer_s + self._order.stall_s + _GRACE_S
        try:
            message = self._hear(patience)
            if isinstance(message, Failed):
                raise self._error(message)
            if not isinstance(message, Sealed):
                raise LieError("not sealed")
        except (LieError, UnreadableError, UnfitPictureError) as error:
            what = error.what if isinstance(error, UnreadableError) else _LIES
            raise SourceError(f"{self._order.address.shown}: {what}", HINT) from error

    def __iter__(self) -> Iterator[Decoded]:
        """Yield what comes. Raises what ``Decoding.__iter__`` says."""
        patience = self._order.stall_s + _GRACE_S if self._order.live else _FILE_S
        try:
            while True:
                message = self._hear(patience)
                match message:
                    case PictureIn():
                        yield self._picture(message)
                    case SoundIs():
                        yield self._chunk(message)
                    case LeftOut(kind, what, count):
                        self._count(kind, what, count)
                    case Opened():
                        self._describe_once(message)
                    case Failed():
                        raise self._error(message)
                    case End():
                        return
                    case Sealed():
                        raise LieError("sealed twice")
        except LieError as error:
            raise UnreadableError(_LIES, HINT) from error

    def describe(self, form: PictureFormat) -> SourceInfo:
        """Return what is known of the source."""
        if self._opened is None:
            raise RuntimeError("a source is described once its first picture is there")
        sound = self._opened.sound
        return SourceInfo(
            live=self._order.live,
            format=form,
            frame_rate=self._opened.frame_rate,
            sound_rate=sound.rate or None,
            sound_channels=sound.channels or None,
            frames=self._opened.frames,
            duration_s=self._opened.duration_s,
        )

    def close(self) -> None:
        """End the process."""
        self._process.close()

    def _hear(self, patience: float | None) -> Message:
        try:
            data = self._process.hear(patience)
        except TimeoutError as error:
            raise UnreadableError("the process that decodes it does not answer", HINT) from error
        except OSError:
            data = b""
        if not data:
            raise UnreadableError(_ENDED, HINT)
        return parse(data)

    def _picture(self, message: PictureIn) -> Decoded:
        if self._opened is None:
            raise LieError("a picture of a source that is not open")
        try:
            # The one copy: from here on nobody over there can change it.
            picture = self._process.ring.take(message.slot, message.format)
        except ValueError as error:
            raise LieError(str(error)) from error
        self._process.tell(bytes([message.slot]))
        return Decoded(message.pts, message.time_base, picture)

    def _chunk(self, message: SoundIs) -> Decoded:
        sound = message.sound
        self._expect_sound(ToldSound(sound.rate, sound.samples.shape[0]))
        return Decoded(message.pts, Fraction(1, sound.rate), sound)

    def _describe_once(self, message: Opened) -> None:
        if self._opened is not None:
            raise LieError("opened twice")
        self._expect_sound(message.sound)
        self._opened = message

    def _expect_sound(self, sound: ToldSound) -> None:
        """What a source's sound is does not change, whoever says so first."""
        if self._sound is not None and self._sound != sound:
            raise LieError("another sound than was told")
        self._sound = sound

    def _count(self, kind: str, what: str, count: int) -> None:
        self._left_out.add((kind, what))
        if len(self._left_out) > _MAX_LEFT_OUT:
            raise LieError("more than any container holds")
        self._tally.add(kind, what, count)

    def _error(self, said: Failed) -> Exception:
        what = said.what.replace(SOURCE, self._order.address.shown)
        match said.why:
            case Why.SOURCE:
                return SourceError(what, said.hint)
            case Why.LATE:
                return TimeoutError()
            case Why.LEFT:
                return PublisherLeftError()
            case Why.UNREADABLE | Why.BROKE_OFF:
                return UnreadableError(what, said.hint, broke_off=said.why is Why.BROKE_OFF)
            case Why.UNFIT:
                return UnfitPictureError(what, said.hint)
            case Why.BROKE:
                return UnreadableError(f"the process that decodes it broke ({what})", HINT)


_ENDED: Final = "the process that decodes it ended"
_LIES: Final = "the process that decodes it says what cannot be"
