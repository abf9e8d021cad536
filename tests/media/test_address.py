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
        ("rtmp://h/KEY?listen=1", "rtmp://h/…?listen=1"),
        ("rtmp://h/KEY", "rtmp://h/…"),
        ("rtmp://h/KEY/", "rtmp://h/…"),
        ("rtmp://h//KEY/KEY", "rtmp://h/…"),
        ("rtmp://[::1]:1935/app/KEY", "rtmp://[::1]:1935/app/…"),
        ("rtmp://h", "rtmp://h"),
        ("https://h/KEY/KEY", "https://h/…"),
        ("rtsp://admin:KEY/KEY@host/cam", "rtsp://…"),
        ("rtsp://admin:KEY?KEY@host/cam", "rtsp://…"),
        ("rtsp://admin:12/KEY@host/cam", "rtsp://…"),
        ("rtsp://admin:12?KEY@host/cam", "rtsp://…"),
        ("rtsp://KEY@KEY@host/cam", "rtsp://…"),
        ("rtmp://KEY#KEY@host/app/k", "rtmp://…"),
        ("rtmp:/h/app/KEY", "rtmp://…"),
        ("rtmp:KEY", "rtmp://…"),
        ("rtmp//h/app/KEY", "rtmp://…"),
        ("rtmp:\\\\h\\app\\KEY", "rtmp://…"),
        ("xrtmp://h/app/KEY", "xrtmp://h/app/…"),
        ("lost 'rtmp://h/app/KEY KEY': gone", "lost 'rtmp://h/app/…"),
        ("lost 'rtmp://h/app/KE'KEY': gone", "lost 'rtmp://h/app/…"),
        ('lost rtmp://h/app/"KEY KEY" gone', "lost rtmp://h/app/…"),
        ("<rtmp://h/app/KEY>, gone", "<rtmp://h/app/…>, gone"),
        ("rtmp: gone", "rtmp: gone"),
        ("rtmp://h/app/KEY?listen=1", "rtmp://h/app/…?listen=1"),
        ("rtmp://h/app/KEY?listen=1&x=KEY", "rtmp://h/app/…?…"),
        ("lost 'rtmp://h/app/KEY': gone", "lost 'rtmp://h/app/…': gone"),
        ("RTMP://h/app/KEY and rtsp://u:KEY@c/x/KEY", "RTMP://h/app/… and rtsp://…@c/…"),
        ("clip.mp4", "clip.mp4"),
    ],
)
def test_keys_are_redacted(text: str, shown: str) -> None:
    assert "KEY" not in shown
    assert redact(text) == shown
    assert redact(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        " rtmp://h/app/KEY", "'rtmp://h/app/KEY'", "rtmp//h/app/KEY", "rtmp:/h/app/KEY", "rtmp:KEY",
        "rtsp://admin:KEY/KEY@h/cam", "rtsp:admin:KEY@h/cam", "<rtmps://h/app/KEY>", "http:/h/KEY",
        "rtmp://h:KEY/app/KEY", "rtmp://h/app/KEY KEY", "https://KEY@h/KEY", "rtmp/h/app/KEY",
    ],
)  # fmt: skip
def test_a_slip_of_the_keyboard_shows_no_key(text: str) -> None:
    """It would otherwise be a file by that name, said in every message."""
    for parse in (parse_source, parse_sink):
        with pytest.raises(UsageError) as caught:
            parse(text)
        assert "KEY" not in str(caught.value)


@pytest.mark.parametrize(
    "graph",
    [
        "movie=a.mkv", "lavfi:movie", "testsrc2,mo\\vie=a.mkv", "mov'ie'=a.mkv", "'mov'ie=a.mkv",
        "testsrc2,metadata=mode=print:file=m.txt", "testsrc2[a];[a]movie=x", "testsrc2;amovie=x",
        "[x]movie=a.mkv", "movie@x=a.mkv", " movie = a.mkv", "testsrc2,,movie=a", "life=filename=a",
        "testsrc2=size=64x48[movie=x]", "testsrc2[a,movie=x]", "color=/c=secret.txt", "nonesuch",
        "color=c=red:/size=secret.txt", "sws_flags=x;movie=a", "testsrc2\tmovie=a", "testsrc2,",
        "testsrc2,lut3d=a", "testsrc2,drawtext=textfile=a", 'testsrc2,"movie"=a', "MOVIE=a",
        "testsrc2=size=64x48,zmq", "testsrc2=[movie=a", "ｍovie=a",
    ],
)  # fmt: skip
def test_a_graph_reaches_nothing_outside_itself(graph: str) -> None:
    with pytest.raises(UsageError):
        parse_source(f"lavfi:{graph}")


@pytest.mark.parametrize(
    "graph",
    [
        "testsrc2=size=64x48:rate=1/20,realtime", "smptebars", "color=c=red:s=64x48,format=yuv420p",
        "testsrc2=size=64x48:rate=30:duration=0.5[out0];sine=d=0.5[out1]",
        "testsrc2 [a]; [a] split [b][c]; [b][c] hstack [out0]", "testsrc2@one=s=64x48,scale=32:24",
    ],
)  # fmt: skip
def test_test_sources_are_taken(graph: str) -> None:
    assert parse_source(f"lavfi:{graph}").target == graph


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
    (tmp_path / "hard.mp4").hardlink_to(clip)
    assert same_file(source, parse_sink(str(tmp_path / "hard.mp4")))
    (tmp_path / "here").symlink_to(tmp_path)
    assert same_file(source, parse_sink(str(tmp_path / "here" / "clip.mp4")))
    assert not same_file(source, parse_sink(str(tmp_path / "other.mp4")))
    assert not same_file(source, parse_sink("null:"))


@pytest.mark.parametrize("name", ["a" * 300 + ".mp4", "a:" + "b" * 5000, "srt/" + "c" * 300])
def test_a_name_that_is_too_long_is_no_more_than_that(name: str) -> None:
    for parse in (parse_source, parse_sink):
        try:
            assert parse(name).kind is Kind.FILE
        except UsageError as error:
            assert "not an address" in str(error)  # noqa: PT017
