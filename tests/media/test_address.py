"""What an address may be. Promise 5: only what the user named is reached, no key is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelight.errors import UsageError
from safelight.media.address import Kind, parse_sink, parse_source, redact, same_file


@pytest.mark.parametrize(
    ("text", "kind", "host", "port"),
    [
        ("clip.mp4", Kind.FILE, None, None),
        ("rtmp://host/app/key", Kind.RTMP, "host", 1935),
        ("RTMP://host/app/key", Kind.RTMP, "host", 1935),
        ("rtmps://host:8443/app/key", Kind.RTMPS, "host", 8443),
        ("rtsp://cam/1", Kind.RTSP, "cam", 554),
        ("device:/dev/video0", Kind.DEVICE, None, None),
        ("lavfi:testsrc2=size=64x48", Kind.LAVFI, None, None),
        ("rtmp://127.0.0.1:1936/live/k?listen=1", Kind.LISTEN, "127.0.0.1", 1936),
        ("rtmp://localhost/live/k?listen=1", Kind.LISTEN, "localhost", 1935),
        ("rtmp://[::1]:1936/live/k?listen=1", Kind.LISTEN, "::1", 1936),
    ],
)
def test_a_source_is_what_it_says(
    text: str, kind: Kind, host: str | None, port: int | None
) -> None:
    address = parse_source(text)
    assert (address.kind, address.host, address.port) == (kind, host, port)


@pytest.mark.parametrize(
    "text",
    [
        "http://h/x.mp4", "https://h/x.mp4", "concat:a.mp4|b.mp4", "pipe:0", "data:,abc",
        "file:clip.mp4", "file:///etc/passwd", "udp://h:1", "srt://h:1", "tcp://h:1", "crypto:x",
        "subfile:,,start,0,end,9,,:x", "hls+http://h/x", "tee:x", "null:", "", "rtmp://",
        "rtmp:///app/key", "rtmp://h:99999/a/k", "device:", "device:http://h", "lavfi:", "a\nb.mp4",
        "lavfi:movie=other.mp4", "lavfi:amovie=o.mp4[out0]", "clip.mp4\0x", "rtmpt://h/a/k",
        "rtmps://127.0.0.1/a/k?listen=1", "rtmp://127.0.0.1/a/k?listen=2",
        "rtmp://u:p@127.0.0.1/a/k?listen=1",
    ],
)  # fmt: skip
def test_nothing_else_is_a_source(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_source(text)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://h/x", "http://h/x", "device:/dev/video0", "lavfi:testsrc", "null:x", "tee:a|b", "",
        "rtmp://127.0.0.1/a/k?listen=1", "rtmp://user:pw@h/a/k", "pipe:1",
    ],
)  # fmt: skip
def test_nothing_else_is_a_sink(text: str) -> None:
    with pytest.raises(UsageError):
        parse_sink(text)


def test_a_sink_is_what_it_says() -> None:
    assert parse_sink("out.mp4").kind is Kind.FILE
    assert parse_sink("null:").kind is Kind.NULL
    assert parse_sink("rtmp://h/a/k").kind is Kind.RTMP


def test_a_file_with_a_colon_is_a_file_if_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a:b.mp4"
    path.touch()
    assert parse_source(str(path)).kind is Kind.FILE
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert parse_source("a:b.mp4").kind is Kind.FILE
        with pytest.raises(UsageError):
            parse_source("cc:d.mp4")


ANYWHERE = "0.0.0.0"  # noqa: S104


@pytest.mark.parametrize("host", [ANYWHERE, "192.168.1.5", "[::]", "example.org", "10.0.0.1"])
def test_listening_beyond_loopback_needs_bind(host: str) -> None:
    with pytest.raises(UsageError, match="--bind"):
        parse_source(f"rtmp://{host}:1935/live/k?listen=1")


def test_bind_overrides_where_it_listens() -> None:
    address = parse_source("rtmp://127.0.0.1:1936/live/k?listen=1", bind=ANYWHERE)
    assert address.target == "rtmp://0.0.0.0:1936/live/k"
    for text in ("clip.mp4", "rtmp://h/a/k"):
        with pytest.raises(UsageError, match="--bind"):
            parse_source(text, bind="127.0.0.1")
    with pytest.raises(UsageError, match="--bind"):
        parse_source("rtmp://127.0.0.1/live/k?listen=1", bind="example.org")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtmp://h/app/KEY", "rtmp://h/app/…"),
        ("rtmp://h:1/app/inst/KEY", "rtmp://h:1/app/…"),
        ("rtmps://u:KEY@h/app/KEY?KEY=KEY", "rtmps://…@h/app/…?…"),
        ("rtmp://h/app?listen=1", "rtmp://h/app?listen=1"),
        ("rtmp://h/app/KEY?listen=1", "rtmp://h/app/…?listen=1"),
        ("rtmp://h/app/KEY?listen=1&x=KEY", "rtmp://h/app/…?…"),
        ("lost 'rtmp://h/app/KEY': gone", "lost 'rtmp://h/app/…': gone"),
        ("RTMP://h/app/KEY and rtsp://u:KEY@c/x/KEY", "RTMP://h/app/… and rtsp://…@c/x/…"),
        ("clip.mp4", "clip.mp4"),
    ],
)
def test_keys_are_redacted(text: str, shown: str) -> None:
    assert redact(text) == shown


@given(key=st.text("abcXYZ0123456789-_.~!$&()*+,;=:@%/?#", min_size=4).map(lambda k: "S3" + k))
def test_no_key_survives_redaction(key: str) -> None:
    assert key not in redact(f"cannot open rtmp://host/app/{key}: why")


@given(key=st.text("abcXYZ0123456789-_.~", min_size=8))
def test_an_address_shows_no_key(key: str) -> None:
    for address in (
        parse_source(f"rtmp://h/app/{key}?k={key}"),
        parse_sink(f"rtmps://h/app/{key}"),
    ):
        assert key in address.target
        assert key not in address.shown
        assert key not in repr(address)


def test_the_same_file_is_noticed(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.touch()
    (tmp_path / "link.mp4").symlink_to(clip)
    source = parse_source(str(clip))
    assert same_file(source, parse_sink(str(tmp_path / "link.mp4")))
    assert same_file(source, parse_sink(str(tmp_path / "." / "clip.mp4")))
    assert not same_file(source, parse_sink(str(tmp_path / "other.mp4")))
    assert not same_file(source, parse_sink("null:"))
