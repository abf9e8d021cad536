"""How far a process that decodes may run ahead: memory, not speed, is what more would cost."""

from __future__ import annotations

import os

from safelight.media.apart_ring import AHEAD_LEAST, AHEAD_OF_FILE, SLOTS, Inbox, Outbox
from safelight.types import PictureFormat


def test_a_file_waits_for_its_reader_and_large_pictures_are_few() -> None:
    inbox = Inbox()
    try:
        outbox = Outbox(os.dup(inbox.handle))
        small, large = PictureFormat(1280, 720), PictureFormat(7680, 4320)
        assert outbox.most_ahead(small, live=True) == SLOTS
        assert outbox.most_ahead(small, live=False) == AHEAD_OF_FILE
        assert outbox.most_ahead(large, live=True) == AHEAD_LEAST
        assert outbox.most_ahead(large, live=False) == AHEAD_LEAST
    finally:
        inbox.close()
