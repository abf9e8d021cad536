"""Sends packets to an RTMP server, from a thread of its own."""

from __future__ import annotations

import queue
import threading
import time
from typing import Final

import av

from safelight.errors import SinkError, SinkLostError
from safelight.media.address import Address
from safelight.media.av_output import AnyPacket
from safelight.media.libav import LIBAV_ERRORS, words
from safelight.media.rtmp_publish import RtmpPublisher
from safelight.media.rtmp_wire import AUDIO, DATA, VIDEO, encode

_LOST_HINT: Final = "check the server, and start again"
_OPEN_HINT: Final = "check the address and the stream key, and that the server is running"
_FLV_HEADER: Final = 13
_TAG_HEADER: Final = 11
_TAG_END: Final = 4
_IDLE_S: Final = 0.5

Tag = tuple[int, int, bytes]


class _Tags:
    """Stands in for a file: takes FLV apart into (kind, timestamp in ms, payload)."""

    name = "flv"

    def __init__(self) -> None:
        self._buffer = b""
        self._skip = _FLV_HEADER
        self.ready: list[Tag] = []

    def write(self, data: bytes) -> int:
        self._buffer += data
        if len(self._buffer) >= self._skip:
            self._buffer, self._skip = self._buffer[self._skip :], 0
            self._cut()
        return len(data)

    def _cut(self) -> None:
        while len(self._buffer) >= _TAG_HEADER:
            head = self._buffer[:_TAG_HEADER]
            end = _TAG_HEADER + int.from_bytes(head[1:4], "big")
            if len(self._buffer) < end + _TAG_END:
                return
            stamp = int.from_bytes(head[7:8] + head[4:7], "big")
            self.ready.append((head[0], stamp, self._buffer[_TAG_HEADER:end]))
            self._buffer = self._buffer[end + _TAG_END :]


class StreamOutput:
    """Sends to an RTMP server. A server that stalls cannot hold the guard.

    ``answer_s``: how long it may take to answer. ``stall_s``: how far it may fall behind.
    """

    def __init__(self, address: Address, *, answer_s: float, stall_s: float) -> None:
        self._shown = address.shown
        self._answer_s = answer_s
        self._stall_s = stall_s
        self._server = RtmpPublisher(address, answer_s=answer_s, stall_s=stall_s)
        self._queue: queue.SimpleQueue[tuple[float, Tag] | None] = queue.SimpleQueue()
        self._sending_since: float | None = None
        self._error: BaseException | None = None
        self._opened = threading.Event()
        self._given_up = False
        self._thread = threading.Thread(target=self._run, name="safelight-sink", daemon=True)
        self._tags = _Tags()
        self.container = av.open(
            self._tags,
            "w",
            format="flv",
            container_options={
                "fflags": "+bitexact",
                "flvflags": "no_duration_filesize",
                "flush_packets": "1",
                # Pictures do not wait for sound that may not come.
                "max_interleave_delta": "100000",
            },
        )

    def start(self) -> None:
        """Connect. Raises SinkError."""
        self._thread.start()
        # The connecting thread keeps to its own limits; a name look-up has none.
        answered = self._opened.wait(2 * self._answer_s + 1)
        if self._error is not None:
            raise SinkError(
                f"cannot open {self._shown}: {words(self._error)}", _OPEN_HINT
            ) from self._error
        if not answered:
            raise SinkError(f"cannot open {self._shown}: it does not answer", _OPEN_HINT)
        self.container.start_encoding()
        self._pass_on()

    def put(self, packet: AnyPacket) -> None:
        """Have a packet sent. Raises SinkLostError."""
        self._check()
        self.container.mux(packet)
        self._pass_on()

    def finish(self) -> None:
        """Wait until everything is sent. Raises SinkLostError."""
        self.container.close()
        self._pass_on()
        self._queue.put(None)
        self._thread.join(self._stall_s)
        if self._thread.is_alive():
            self._given_up = True
            raise SinkLostError(f"{self._shown} takes no more data", _LOST_HINT)
        self._check()

    def abandon(self) -> None:
        """Hang up. Never raises."""
        self._given_up = True
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(1.0)
        try:
            self.container.close()
        except LIBAV_ERRORS:
            # Only its end mark was still to come, and nobody takes that any more.
            self._tags.ready.clear()

    def _pass_on(self) -> None:
        now = time.monotonic()
        for tag in self._tags.ready:
            self._queue.put((now, tag))
        self._tags.ready.clear()

    def _check(self) -> None:
        if self._error is not None:
            raise SinkLostError(f"{self._shown}: {words(self._error)}", _LOST_HINT) from self._error
        since = self._sending_since
        if since is not None and time.monotonic() - since > self._stall_s:
            raise SinkLostError(f"{self._shown} takes no more data", _LOST_HINT)

    # --- the sending thread -------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._server.open()
            self._opened.set()
            self._send_all()
            self._server.close(politely=True)
        except OSError as error:
            self._error = error
        finally:
            self._opened.set()
            self._server.close(politely=False)

    def _send_all(self) -> None:
        while not self._given_up:
            try:
                item = self._queue.get(timeout=_IDLE_S)
            except queue.Empty:
                self._server.idle()
                continue
            if item is None:
                return
            self._sending_since, (kind, stamp, payload) = item
            if kind in (AUDIO, VIDEO):
                self._server.send(kind, stamp, payload)
            elif kind == DATA:
                # Servers store metadata for later viewers only under this name.
                self._server.send(DATA, stamp, encode("@setDataFrame") + payload)
            self._sending_since = None
