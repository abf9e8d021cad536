"""What opens an address and decodes it, in the guard's own process or in one apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from safelight.media.address import Address
from safelight.media.av_decode import Decoded, Decoder, ToldSound
from safelight.media.av_open import Opened, open_container
from safelight.media.coded import CodedPictures
from safelight.media.interface import SourceInfo
from safelight.media.tally import Tally
from safelight.types import PictureFormat


@dataclass(frozen=True, slots=True)
class Order:
    """What to open. Times are in seconds.

    ``answer_s``: how long a server may take to answer; ``stall_s``: how long a live source
    may give nothing; ``accept_s``: how long to wait for a publisher, None without limit.
    ``told``: what a sink was told of an earlier connection's sound.
    """

    address: Address
    live: bool
    answer_s: float
    stall_s: float
    accept_s: float | None = None
    told: ToldSound | None = None


class Decoding(Protocol):
    """One container or connection that is open. One thread uses it."""

    def __iter__(self) -> Iterator[Decoded]:
        """Decode to the end.

        Raises:
            UnreadableError: it cannot be read on.
            UnfitPictureError: a picture that cannot be guarded.
            ValueError: the binding's own trouble with what it was sent.
            SourceError, PublisherLeftError: as ``Decodes.open``, where that came back early.
        """
        ...

    def describe(self, form: PictureFormat) -> SourceInfo:
        """Return what is known of the source once its first picture, of ``form``, is there."""
        ...

    def close(self) -> None:
        """Let go of it. Safe to call twice."""
        ...


class Decodes(Protocol):
    """Opens a source, again where a publisher may come back."""

    def open(self, order: Order, tally: Tally) -> Decoding:
        """Open what is ordered; ``tally`` counts what is left out.

        Raises:
            SourceError: it cannot be opened.
            TimeoutError: no publisher came in time.
            PublisherLeftError: a publisher came, and went before its stream was known.
            UntrustedError: it cannot be isolated.
        """
        ...

    def interrupt(self) -> None:
        """End what can be ended of a wait in ``open`` or ``Decoding``. From any thread."""
        ...

    def cpu_seconds(self) -> float:
        """CPU time that other processes have used for it so far, in seconds."""
        ...


class Inside:
    """Opens and decodes in this process. ``coded``: where to note how pictures came."""

    def __init__(self, coded: CodedPictures | None = None) -> None:
        self._coded = coded

    def open(self, order: Order, tally: Tally) -> Decoding:
        """Open it here. Raises what ``Decodes.open`` says."""
        return DecodingHere(
            open_container(
                order.address,
                answer_s=order.answer_s,
                stall_s=order.stall_s,
                accept_s=order.accept_s,
            ),
            lambda opened: Decoder(
                opened.container, tally, live=order.live, told=order.told, coded=self._coded
            ),
            live=order.live,
        )

    def interrupt(self) -> None:
        """Do nothing: libav offers no way to cut a read short."""

    def cpu_seconds(self) -> float:
        """None: all is done in this process."""
        return 0.0


class DecodingHere:
    """Implements ``Decoding`` with libav in this process."""

    def __init__(self, opened: Opened, make: Callable[[Opened], Decoder], *, live: bool) -> None:
        self._opened = opened
        self._make = make
        self._live = live
        self._decoder: Decoder | None = None

    def __iter__(self) -> Iterator[Decoded]:
        """Decode to the end. Raises what ``Decoding.__iter__`` says."""
        self._decoder = self._make(self._opened)
        yield from self._decoder

    def describe(self, form: PictureFormat) -> SourceInfo:
        """Return what is known of the source."""
        decoder = self._decoder
        if decoder is None:
            raise RuntimeError("a source is described once it is decoded")
        return SourceInfo(
            live=self._live,
            format=form,
            frame_rate=decoder.frame_rate,
            sound_rate=decoder.sound.rate if decoder.sound else None,
            sound_channels=decoder.sound.channels if decoder.sound else None,
            frames=decoder.frames,
            duration_s=decoder.duration_s,
        )

    def close(self) -> None:
        """Let go of it."""
        self._opened.close()
