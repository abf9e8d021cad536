"""Addresses: a ``UsageError`` or an address, and a stream key is never shown by either."""

from __future__ import annotations

import os
import re
from typing import Final

from tests.fuzz.target import Target, check, check_no_release, check_one_line, scratch

from safelight.errors import UsageError
from safelight.media.address import Address, Kind, parse_sink, parse_source, redact
from safelight.media.redaction import shown_as

KEY: Final = "zq7StreamKey7qz"
_SCHEMES: Final = ("rtmp", "rtmps", "rtsp", "RTMP", "rtmpt", "http", "https", "srt", "udp")
_OPENED: Final = {"file", "rtmp", "rtmps", "rtsp", "device", "lavfi", "null", "listen"}


def run(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    os.chdir(scratch())
    _any_text(text)
    # The key in the places where keys stand; what surrounds it is whatever came. White space
    # ends an address, so none may stand between its start and the key.
    before, _, inside = text.partition("|")
    user, _, path = re.sub(r"\s", "", inside).partition("|")
    scheme = _SCHEMES[len(text) % len(_SCHEMES)]
    for address in (
        f"{scheme}://host/app/{path}{KEY}",
        f"{scheme}://host/{path}/{KEY}{user}",
        f"{scheme}://{user}:{KEY}@host/{path}",
        f"{scheme}://host/{path}?{user}={KEY}",
        f"{scheme}://{KEY}{user}@{path}",
        f"{scheme}://{user}:{KEY}/{user}@{path}",
    ):
        _no_key(redact(before + address), f"redact({before + address!a})")
        _no_key(shown_as(address), f"shown_as({address!a})")
        _parse_all(address)


def _any_text(text: str) -> None:
    for made in (redact(text), shown_as(text)):
        check(len(made) <= len(text) + 8 * (1 + text.count(":") + text.count("/")), "it grows")
    check(redact(redact(text)) is not None, "it cannot be redacted twice")
    _parse_all(text)


def _parse_all(text: str) -> None:
    for bind in (None, "127.0.0.1", text):
        _parsed(text, bind)
    try:
        sink = parse_sink(text)
    except UsageError as error:
        _refused(error, text)
    else:
        _shown(sink)
        check_no_release(sink.kind is not Kind.LISTEN, "a sink that listens")


def _parsed(text: str, bind: str | None) -> None:
    try:
        source = parse_source(text, bind=bind)
    except UsageError as error:
        if bind is not text:
            _refused(error, text)
        return
    _shown(source)
    check(source.kind.value in _OPENED, "a kind of address that is none")
    if source.kind is Kind.LISTEN and bind is None:
        loopback = source.host == "localhost" or re.fullmatch(
            r"127\.\d+\.\d+\.\d+|::1|::ffff:127\.\d+\.\d+\.\d+", source.host or "", re.IGNORECASE
        )
        check_no_release(bool(loopback), "it listens to all")


def _shown(address: Address) -> None:
    if address.kind in (Kind.RTMP, Kind.RTMPS, Kind.RTSP, Kind.LISTEN):
        _no_key(address.shown, "shown")
        _no_key(repr(address), "repr")


def _refused(error: UsageError, text: str) -> None:
    check(str(error).isprintable() or not text.isprintable(), "an error that is no line")
    if text.startswith(tuple(f"{scheme}://" for scheme in _SCHEMES)):
        check_one_line(str(error)[:1000])
        _no_key(str(error), "an error")


def _no_key(shown: str, where: str) -> None:
    check_no_release(KEY not in shown, f"{where} shows the stream key: {shown!a}")


def seeds() -> tuple[bytes, ...]:
    return (
        b"rtmp://127.0.0.1:1935/live/key?listen=1",
        b"rtsp://user:word@camera.example:8554/path?token=1",
        b"cannot open 'rtmps://a.example/app/key': |u|sub/",
        b"device:/dev/video0", b"lavfi:testsrc2=size=640x360:rate=30,scale=2", b"null:",
        b'C:\\clip.mp4|"|[::1]:1', b"see <http://h/a> and rtmp://h/a/k, |@|@", b"srt/b.mp4",
    )  # fmt: skip


TARGET = Target(
    run,
    seeds,
    words=tuple(
        b"rtmp:// rtmp: // rtmps:// rtsp:// http:// srt: :// @ ? # & | ' \" < > ` % [ ] [::1] "
        b"localhost 0.0.0.0 127.0.0.1 ?listen=1 listen=1 device: lavfi: null: file: concat: "
        b"movie= \xc5\xbf \xe2\x84\xaa \xc2\xa0 \xe3\x80\x80 :99999 :-1".split()
    ),
    max_len=1024,
)
