"""Tells the person at this desktop, by its own notifications, that something changed."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import threading
import time
from typing import Final

from safelight import StreamEvent

_EVERY_S: Final = 2.0  # nobody reads faster; only the latest counts
_PATIENCE_S: Final = 5.0
_TITLE: Final = "Safelight"


class Notifier:
    """Shows one notification after another. ``tell`` returns at once.

    Nothing is shown where there is no program to show it with: the guard goes on.
    """

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="safelight-notify", daemon=True)
        self._thread.start()

    def tell(self, event: StreamEvent) -> None:
        """Show a change of state. Says what the card says: no more than anybody here may see."""
        if event.kind == "state":
            lines = (event.card.headline, *event.card.lines) if event.card else (event.text,)
            self._waiting.put(" ".join(lines))

    def close(self) -> None:
        """Show no more."""
        self._waiting.put(None)

    def _run(self) -> None:
        while True:
            text = self._waiting.get()
            while not self._waiting.empty() and text is not None:
                text = self._waiting.get()
            if text is None:
                return
            _show(text)
            time.sleep(_EVERY_S)


def command(text: str) -> list[str] | None:
    """Return the command that shows a text; None where there is none."""
    if shutil.which("notify-send") is not None:
        return ["notify-send", "--app-name", _TITLE, "--", _TITLE, text]
    if shutil.which("gdbus") is None:
        return None
    # Its parameters are read as values, so texts are quoted as such.
    quoted = json.dumps(text, ensure_ascii=False)
    service = "org.freedesktop.Notifications"
    return [
        "gdbus", "call", "--session", "--dest", service, "--object-path",
        "/org/freedesktop/Notifications", "--method", f"{service}.Notify",
        json.dumps(_TITLE), "0", '"camera-web"', json.dumps(_TITLE), quoted, "@as []",
        "@a{sv} {}", "5000",
    ]  # fmt: skip


def _show(text: str) -> None:
    line = command(text)
    if line is None:
        return
    try:
        subprocess.run(line, capture_output=True, timeout=_PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return  # nobody shows it; the guard goes on
