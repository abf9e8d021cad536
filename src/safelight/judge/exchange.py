"""Questions and answers of one judge, from its first frame to its end.

An answer counts only for a question that is open: the token has to be one that was asked,
of this judge, once, and is next in order. Anything else is a lie, and ends the judge.
"""

from __future__ import annotations

import socket
from collections import deque
from typing import Final

from safelight.judge.judge import Answer
from safelight.judge.ring import Ring
from safelight.judge.wire import (
    ANSWER_BYTES,
    Broke,
    Question,
    WireError,
    pack_question,
    parse_answer,
    view_bits,
)
from safelight.types import Picture, Token

MAX_WAITING: Final = 256  # pictures that no slot is free for; a guard that asks more lost count


class LyingError(Exception):
    """The judge said what cannot be true, or gave up; its text says nothing of a picture."""


class Exchange:
    """One judge's ring and channel. The supervisor takes care that one thread at a time calls."""

    def __init__(self, ring: Ring, channel: socket.socket, views: tuple[str, ...]) -> None:
        self._ring = ring
        self._views = views
        self._open: dict[Token, int] = {}  # token -> slot, in the order asked
        self._waiting: deque[tuple[Token, Picture, int]] = deque()
        self.channel = channel

    @property
    def open(self) -> int:
        """How many questions have no answer yet."""
        return len(self._open) + len(self._waiting)

    def ask(self, token: Token, picture: Picture, views: tuple[str, ...]) -> None:
        """Write the picture into the ring and send its question; wait for a slot if none is free.

        Raises:
            LyingError: the judge takes no questions, or more wait than ever should.
            WireError: the bundle has no such view.
        """
        bits = view_bits(views, self._views)
        if token in self._open or len(self._waiting) >= MAX_WAITING:
            raise LyingError("the judge was asked faster than it can answer")
        self._waiting.append((token, picture, bits))
        self._send_what_fits()

    def take(self) -> Answer:
        """Receive one answer; its slot is wiped.

        Raises:
            LyingError: it is no answer to an open question, or the judge has ended.
        """
        message = self._receive()
        if not message:
            raise LyingError("the judge ended")
        try:
            said = parse_answer(message, self._views)
        except WireError as error:
            raise LyingError("the judge said what is no answer") from error
        if isinstance(said, Broke):
            raise LyingError(f"the judge broke ({said.name.lower()})")
        token, evidence = said
        if token not in self._open:
            raise LyingError("the judge answered what it was not asked")
        if token != next(iter(self._open)):
            # It looks at one picture after the other: this can be no answer to that question.
            raise LyingError("the judge answered out of turn")
        self._ring.wipe(self._open.pop(token))
        self._send_what_fits()
        return Answer(token, evidence)

    def close(self) -> None:
        """Forget every question and wipe every picture. Safe to call twice."""
        self._open.clear()
        self._waiting.clear()
        self._ring.close()
        self.channel.close()

    def _receive(self) -> bytes:
        try:
            try:
                return self.channel.recv(ANSWER_BYTES + 1)
            except ConnectionResetError:
                # Said once, when a judge ends with questions unread; what it had answered
                # before is still there.
                return self.channel.recv(ANSWER_BYTES + 1)
        except OSError as error:
            raise LyingError("the judge cannot be heard") from error

    def _send_what_fits(self) -> None:
        while self._waiting:
            token, picture, bits = self._waiting[0]
            try:
                slot = self._ring.write(picture)
            except ValueError as error:
                raise LyingError("a picture is larger than the judge takes in") from error
            if slot is None:
                return
            self._waiting.popleft()
            self._open[token] = slot
            question = Question(token, slot, picture.format, bits)
            try:
                self.channel.send(pack_question(question), socket.MSG_DONTWAIT)
            except (BrokenPipeError, ConnectionResetError):
                return  # it has ended, which is heard after what it said before
            except OSError as error:
                raise LyingError("the judge takes no questions") from error
