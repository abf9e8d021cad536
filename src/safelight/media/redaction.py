"""What may be shown of an address: who is reached, never a stream key, user, password, query.

What is shown is built from the parts that are known to be harmless; nothing is cut out of
what was given. Where it is not plain which part is which, the scheme alone is shown.
"""

from __future__ import annotations

import re
from typing import Final

_SCHEMES: Final = r"rtmp[a-z]*|rtsps?|https?|srt|rtp|udp|tcp"
# No word boundary before it: a slip of the keyboard there must not show a key.
_START: Final = re.compile(rf"(?P<scheme>{_SCHEMES})(?::(?=\S)|//)", re.I)
_LOOKS_LIKE: Final = re.compile(rf"\s*['\"<]?(?:{_SCHEMES})(?::(?=\S)|:?/+)", re.I)
_CLEAN: Final = re.compile(
    r"(?P<user>[^/?#@]*@)?(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?P<port>:[0-9]{1,5})?"
    r"(?P<path>/[^?]*)?(?:\?(?P<query>.*))?",
    re.DOTALL,
)
_APP: Final = re.compile(r"/([\w.-]+)/.", re.DOTALL)
_QUOTES: Final = {"'": "'", '"': '"', "<": ">", "`": "`"}
_AFTER_QUOTE: Final = frozenset(":;,.)!?")


def looks_like_address(text: str) -> bool:
    """Whether a text begins like a network address, be it a good one or not."""
    return _LOOKS_LIKE.match(text) is not None


def shown_as(address: str) -> str:
    """Return what may be shown of one network address; the whole text is taken to be it.

    ``rtmp://host/app/KEY`` becomes ``rtmp://host/app/…``, ``rtsp://user:pw@host/path``
    becomes ``rtsp://…@host/…``, ``rtmp://host/KEY`` ``rtmp://host/…``; ``?listen=1`` stays. Of
    what does not read as an address without doubt, only the scheme stays.
    """
    found = _START.search(address)
    if found is None:
        return "…"
    scheme = found["scheme"]
    hidden = f"{scheme}://…"
    rest = address[found.end("scheme") :]
    if not rest.startswith("://"):
        return hidden
    parts = _CLEAN.fullmatch(rest[3:])
    # A password may hold "/" or "?": then what looks like the host is the user.
    if parts is None or "@" in (parts["path"] or "") + (parts["query"] or ""):
        return hidden
    path, query = parts["path"] or "", parts["query"]
    # In an address of one segment that may be the key; other schemes have no "app".
    app = _APP.match(path) if scheme.lower().startswith("rtmp") else None
    shown = f"{scheme}://{'…@' if parts['user'] else ''}{parts['host']}{parts['port'] or ''}"
    shown += f"/{app[1]}" if app else ""
    shown += "/…" if len(path) > 1 else path
    if not query:
        return shown
    return shown + ("?listen=1" if query == "listen=1" else "?…")


def redact(text: str) -> str:
    """Hide stream keys, users, passwords and queries in every address within ``text``.

    An address is taken to reach to the next white space; to its closing quote if it is in
    quotes; and to the end of the text where its quotes do not add up.
    """
    made = ""
    while (found := _START.search(text)) is not None:
        quote = _QUOTES.get(text[found.start() - 1]) if found.start() else None
        end = _end(text, found.start(), quote)
        made += text[: found.start()] + shown_as(text[found.start() : end])
        text = text[end:]
    return made + text


def _end(text: str, start: int, quote: str | None) -> int:
    run = re.compile(r"\S*").match(text, start)
    end = run.end() if run is not None else len(text)
    inside = text[start:end]
    if quote is not None and quote in inside:
        closed = inside.rindex(quote)
        if set(inside[closed + 1 :]) <= _AFTER_QUOTE and not set(inside[:closed]) & set(_QUOTES):
            return start + closed
        return len(text)
    return len(text) if quote is not None or set(inside) & set(_QUOTES) else end
