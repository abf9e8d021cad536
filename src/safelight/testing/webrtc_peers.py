"""Peers of a call, for tests and benches: cameras that draw, microphones that hum, who watches."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

import av
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpSender
from aiortc.mediastreams import MediaStreamError

RATE: Final = 25
SOUND_RATE: Final = 48_000
SOUND_STEP: Final = 960
HUM_HZ: Final = 440.0
CARD: Final = 80  # mean luma; the drawn scene is brighter, a card is darker
Draw = Callable[[float], np.ndarray]


class Camera(MediaStreamTrack):
    """Shows what ``draw(seconds)`` returns: uint8 RGB (height, width, 3), at ``rate`` a second."""

    kind = "video"

    def __init__(self, draw: Draw, rate: int = RATE) -> None:
        super().__init__()
        self._draw = draw
        self._rate = rate
        self._index = 0
        self.began_s: float | None = None

    async def recv(self) -> av.VideoFrame:
        """Return the next picture, when it is due."""
        if self.readyState != "live":
            raise MediaStreamError
        if self.began_s is None:
            self.began_s = time.monotonic()
        at = self._index / self._rate
        await asyncio.sleep(max(0.0, self.began_s + at - time.monotonic()))
        self._index += 1
        rgb = self._draw(time.monotonic() - self.began_s)
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = round(at * 90_000), Fraction(1, 90_000)
        return frame


class Microphone(MediaStreamTrack):
    """Hums without a break, at a pitch that may change."""

    kind = "audio"

    def __init__(self, pitch_hz: Callable[[], float] = lambda: HUM_HZ) -> None:
        super().__init__()
        self._pitch_hz = pitch_hz
        self._at = 0
        self._began_s: float | None = None

    async def recv(self) -> av.AudioFrame:
        """Return the next 20 ms."""
        if self.readyState != "live":
            raise MediaStreamError
        self._began_s = self._began_s or time.monotonic()
        await asyncio.sleep(max(0.0, self._began_s + self._at / SOUND_RATE - time.monotonic()))
        phase = 2 * np.pi * self._pitch_hz() * (self._at + np.arange(SOUND_STEP)) / SOUND_RATE
        samples = (8000 * np.sin(phase)).astype(np.int16)[np.newaxis]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts = SOUND_RATE, self._at
        frame.time_base = Fraction(1, SOUND_RATE)
        self._at += SOUND_STEP
        return frame


@dataclass
class Seen:
    """One picture as it came: when, and how bright its middle is."""

    at_s: float
    luma: float
    frame: av.VideoFrame | None = None


@dataclass
class Watcher:
    """What a peer received. ``keep``: keep the frames themselves; ``shown`` gets each picture.

    ``loud``: of each chunk of sound when it came, and how loud it is; ``loud_at``: when it is to
    be heard, in seconds of its sender's clock.
    """

    keep: bool = False
    shown: Callable[[av.VideoFrame], None] | None = None
    pictures: list[Seen] = field(default_factory=list)
    loud: list[tuple[float, float]] = field(default_factory=list)
    loud_at: list[float] = field(default_factory=list)
    pitches: list[float] = field(default_factory=list)
    over: set[str] = field(default_factory=set)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def watch(self, track: MediaStreamTrack) -> None:
        """Watch this track from now on, until it ends."""
        self.tasks.append(asyncio.ensure_future(self._watch(track)))

    async def _watch(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                at_s = time.monotonic()
                if isinstance(frame, av.VideoFrame):
                    if self.shown is not None:
                        self.shown(frame)
                    luma = float(frame.to_ndarray(format="gray").mean())
                    self.pictures.append(Seen(at_s, luma, frame if self.keep else None))
                elif isinstance(frame, av.AudioFrame):
                    samples = frame.to_ndarray().astype(np.float64)
                    self.loud.append((at_s, float(np.sqrt((samples**2).mean()))))
                    self.loud_at.append(frame.time or 0.0)
                    self.pitches.append(pitch_of(samples[0, 0::2]))
        except MediaStreamError:
            self.over.add(track.kind)

    def between(self, from_s: float, to_s: float) -> list[float]:
        """Return how bright each picture was that came in this stretch."""
        return [seen.luma for seen in self.pictures if from_s <= seen.at_s < to_s]


async def first_ms(watcher: Watcher, at_s: float, *, dark: bool, within_s: float = 60.0) -> float:
    """Return how long after ``at_s`` the first card (dark) came, or the first picture, in ms."""

    def found() -> list[float]:
        came = watcher.pictures
        return [s.at_s for s in came if s.at_s > at_s and (s.luma < CARD) is dark]

    await until(lambda: bool(found()), within_s)
    return (found()[0] - at_s) * 1000


def pitch_of(samples: np.ndarray) -> float:
    """Return the strongest pitch in Hz, 0.0 of silence; to the nearest 50 Hz for 20 ms."""
    strength = np.abs(np.fft.rfft(samples))
    if strength.max() < 100 * len(samples):
        return 0.0
    return float(np.argmax(strength) * SOUND_RATE / len(samples))


def prefer(pc: RTCPeerConnection, codec: str) -> None:
    """Send pictures in this codec, "VP8" or "H264"."""
    for transceiver in pc.getTransceivers():
        if transceiver.kind == "video":
            offered = RTCRtpSender.getCapabilities("video").codecs
            transceiver.setCodecPreferences(
                [c for c in offered if c.mimeType == f"video/{codec}" or c.name == "rtx"]
            )


async def connect(caller: RTCPeerConnection, called: RTCPeerConnection) -> None:
    """Have the one call the other."""
    await caller.setLocalDescription(await caller.createOffer())
    await called.setRemoteDescription(caller.localDescription)
    await called.setLocalDescription(await called.createAnswer())
    await caller.setRemoteDescription(called.localDescription)


@contextlib.asynccontextmanager
async def watched(track: MediaStreamTrack, watcher: Watcher, codec: str) -> AsyncIterator[None]:
    """Two peers on this machine: one sends the track, the other one watches it."""
    here, there = RTCPeerConnection(), RTCPeerConnection()
    there.on("track", watcher.watch)
    try:
        here.addTrack(track)
        prefer(here, codec)
        await connect(here, there)
        yield
    finally:
        await here.close()
        await there.close()


async def until(what: Callable[[], bool], within_s: float = 20.0) -> None:
    """Wait until something holds; a test that hangs must fail."""
    end = time.monotonic() + within_s
    while not what():
        if time.monotonic() > end:
            raise TimeoutError("it never came to that")
        await asyncio.sleep(0.01)
