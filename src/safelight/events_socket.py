"""Tells host apps in any language what happens to a stream, over a local Unix socket.

Out go the lines of ``--events`` (spec/event.schema.json), in comes a resume
(spec/command.schema.json). One thread serves every client and never waits for one: who does
not read is cut off. ``tell`` returns at once whatever clients do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import queue
import selectors
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from safelight import own_socket
from safelight.events import StreamEvent
from safelight.host_command import MAX_BYTES, NotUnderstoodError, parse

MOST_CLIENTS: Final = 8
MOST_UNREAD: Final = 64 * 1024  # bytes that wait for a client besides what the kernel holds
MOST_WAITING: Final = 1000  # events that the serving thread has not looked at
COMMANDS_A_SECOND: Final = 10  # of one client; one that says more is cut off
RESUME_EVERY_S: Final = 0.5
FINISH_S: Final = 0.5  # how long clients may take for what waits at the end


@dataclasses.dataclass(slots=True, eq=False)
class _Client:
    connection: socket.socket
    unread: bytearray = dataclasses.field(default_factory=bytearray)
    said: bytearray = dataclasses.field(default_factory=bytearray)
    second: int = 0
    commands: int = 0


class EventsSocket:
    """A socket of this user's that host apps connect to.

    Every line is one event. A client first gets the last one that was told, so that whoever
    comes late knows the state; before the first there is none, and nothing is live. ``resume``
    is called, on the serving thread, when a client asks for it.

    Raises:
        UsageError: ``path`` cannot be a socket that only this user reaches.
    """

    def __init__(self, path: str | Path, *, resume: Callable[[], None] | None = None) -> None:
        self._resume = resume
        self._resumed_s = -RESUME_EVERY_S
        self._clients: dict[int, _Client] = {}
        self._last: tuple[StreamEvent, float] | None = None
        self._ending = False
        self._events: queue.Queue[StreamEvent | None] = queue.Queue(MOST_WAITING)
        self._path = Path(path)
        self._listener = own_socket.listen(self._path)
        self._inode = own_socket.inode(self._path)
        self._bell, self._ringer = socket.socketpair()
        self._bell.setblocking(False)
        self._ringer.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="safelight-socket", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def on_resume(self, resume: Callable[[], None]) -> None:
        """Pass clients' resumes on to ``resume`` from now on; before, they count for nothing."""
        self._resume = resume

    def tell(self, event: StreamEvent) -> None:
        """Tell every client. Returns at once."""
        self._put(event)

    def close(self) -> None:
        """Send what waits, for half a second at most; then hang up and remove the socket."""
        if self._thread.is_alive():
            self._put(None)
            self._thread.join(FINISH_S + 1.0)
        own_socket.remove(self._path, self._inode)

    def _put(self, event: StreamEvent | None) -> None:
        # Full only where the serving thread is stuck, and it waits for nobody.
        with contextlib.suppress(queue.Full, OSError):
            self._events.put_nowait(event)
            self._ringer.send(b"!")

    # --- the serving thread ---------------------------------------------------------------

    def _serve(self) -> None:
        try:
            while not self._ending:
                for key, _ in self._selector.select(1.0):
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.fileobj is self._bell:
                        self._bell.recv(4096)
                    elif key.fd in self._clients:
                        self._hear(self._clients[key.fd])
                self._pass_on()
            self._finish()
        finally:
            self._hang_up()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # who knocked has gone
        if len(self._clients) >= MOST_CLIENTS or not own_socket.same_user(connection):
            connection.close()
            return
        connection.setblocking(False)
        client = _Client(connection, bytearray(self._now()))
        self._clients[connection.fileno()] = client
        self._selector.register(connection, selectors.EVENT_READ)
        self._send(client)

    def _pass_on(self) -> None:
        while True:
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                break
            if event is None:
                self._ending = True
                break
            self._last = event, time.monotonic()
            for client in self._clients.values():
                client.unread += _line(event)
        for client in list(self._clients.values()):
            self._send(client)

    def _now(self) -> bytes:
        """Return what somebody who comes now is told first."""
        if self._last is None:
            return b""
        event, told_s = self._last
        left_s = max(0.0, event.wait_s - (time.monotonic() - told_s))
        return _line(dataclasses.replace(event, wait_s=left_s))

    def _send(self, client: _Client) -> None:
        if not client.unread:
            return
        try:
            sent = client.connection.send(client.unread)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._cut_off(client)
            return
        del client.unread[:sent]
        if len(client.unread) > MOST_UNREAD:
            self._cut_off(client)
            return
        events = selectors.EVENT_READ
        if client.unread:
            events |= selectors.EVENT_WRITE
        self._selector.modify(client.connection, events)

    def _hear(self, client: _Client) -> None:
        self._send(client)
        if client.connection.fileno() < 0:
            return
        try:
            said = client.connection.recv(MAX_BYTES)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not said:
            self._cut_off(client)
            return
        client.said += said
        while (end := client.said.find(b"\n")) >= 0:
            line = bytes(client.said[:end])
            del client.said[: end + 1]
            if not self._obey(client, line):
                self._cut_off(client)
                return
        if len(client.said) > MAX_BYTES:
            self._cut_off(client)

    def _obey(self, client: _Client, line: bytes) -> bool:
        """Carry out one line; False when whoever said it is no host app of ours."""
        now_s = time.monotonic()
        if int(now_s) != client.second:
            client.second, client.commands = int(now_s), 0
        client.commands += 1
        if client.commands > COMMANDS_A_SECOND:
            return False
        try:
            parse(line)
        except NotUnderstoodError:
            return False
        # Nobody presses twice so fast; and no client may flood what guards the stream.
        if self._resume is not None and now_s - self._resumed_s >= RESUME_EVERY_S:
            self._resumed_s = now_s
            self._resume()
        return True

    def _cut_off(self, client: _Client) -> None:
        self._clients.pop(client.connection.fileno(), None)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(client.connection)
        client.connection.close()

    def _finish(self) -> None:
        end_s = time.monotonic() + FINISH_S
        for client in list(self._clients.values()):
            client.connection.settimeout(max(0.01, end_s - time.monotonic()))
            with contextlib.suppress(OSError):
                client.connection.sendall(client.unread)

    def _hang_up(self) -> None:
        for client in list(self._clients.values()):
            self._cut_off(client)
        self._selector.close()
        for end in (self._listener, self._bell, self._ringer):
            end.close()


def _line(event: StreamEvent) -> bytes:
    return json.dumps(event.as_json(), ensure_ascii=False).encode() + b"\n"
