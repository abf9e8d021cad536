"""What SOURCE and SINK may be: a text in, a frozen address or a ``UsageError`` out.

Nothing is opened here. Only what is named below is an address; anything else is refused,
because libav would otherwise follow ``http:``, ``concat:``, ``data:`` and many more.
"""

from __future__ import annotations

import enum
import ipaddress
import os
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from safelight.errors import UsageError
from safelight.media.graph import check_graph
from safelight.media.redaction import looks_like_address, redact, shown_as

__all__ = [
    "NETWORK", "RTMP_PORT", "Address", "Kind", "parse_sink", "parse_source", "redact", "same_file",
]  # fmt: skip

RTMP_PORT: Final = 1935


class Kind(enum.Enum):
    """What an address leads to."""

    FILE = "file"
    RTMP = "rtmp"
    RTMPS = "rtmps"
    RTSP = "rtsp"
    DEVICE = "device"
    LAVFI = "lavfi"
    NULL = "null"
    LISTEN = "listen"
    CAMERA = "camera"


NETWORK: Final = frozenset({Kind.RTMP, Kind.RTMPS, Kind.RTSP, Kind.LISTEN})


@dataclass(frozen=True, slots=True)
class Address:
    """One address.

    ``target`` is what is opened: a path, an address with its scheme, a device, a graph. It
    may hold a stream key: show ``shown`` instead. ``host`` and ``port`` are where to connect
    to or to listen, None where there is no network.
    """

    kind: Kind
    target: str
    host: str | None = None
    port: int | None = None

    @property
    def shown(self) -> str:
        """The address as it may be shown: without stream key, user, password or query."""
        if self.kind is Kind.LISTEN:
            return shown_as(f"{self.target}?listen=1")
        if self.kind in NETWORK:
            return shown_as(self.target)
        named = {Kind.DEVICE, Kind.LAVFI, Kind.NULL, Kind.CAMERA}
        return (f"{self.kind.value}:" if self.kind in named else "") + redact(self.target)

    def __repr__(self) -> str:
        # A stream key must not reach a log by way of a dataclass's repr.
        return f"Address({self.kind.value}, {self.shown!r})"


_SOURCE_HINT: Final = (
    "give a file, rtmp://, rtmps:// or rtsp://…, rtmp://127.0.0.1:1935/app/key?listen=1, "
    "device:/dev/video0 or lavfi:GRAPH"
)
_SINK_HINT: Final = "give a file, rtmp:// or rtmps://…, camera:, or null:"

# A scheme of one letter is a Windows drive.
_VIDEO_DEVICE: Final = re.compile(r"^/dev/video[0-9]{1,3}$")
_SCHEME: Final = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.\-]+):")


def parse_source(text: str, *, bind: str | None = None) -> Address:
    """Parse SOURCE. ``bind`` is the address to listen at, for ``?listen=1`` only.

    Raises:
        UsageError: it is not a source, or would listen beyond loopback without ``bind``.
    """
    _refuse_unprintable(text, _SOURCE_HINT)
    scheme = _scheme(text)
    if bind is not None and scheme not in ("rtmp", "rtmps"):
        raise UsageError(
            "an address to listen at goes with rtmp://…?listen=1 only", "leave --bind out"
        )
    address: Address
    match scheme:
        case "rtmp" | "rtmps" | "rtsp":
            address = _network(text, scheme, bind)
        case "device":
            device = text.split(":", 1)[1]
            if not device or "://" in device:
                raise UsageError("no device is named", "give for example device:/dev/video0")
            address = Address(Kind.DEVICE, device)
        case "lavfi":
            address = _graph(text.split(":", 1)[1])
        case None if not looks_like_address(text):
            address = Address(Kind.FILE, text)
        case _:
            address = _file_or_refuse(text, _SOURCE_HINT)
    return address


def parse_sink(text: str) -> Address:
    """Parse SINK.

    Raises:
        UsageError: it is not a sink.
    """
    _refuse_unprintable(text, _SINK_HINT)
    scheme = _scheme(text)
    if scheme in ("rtmp", "rtmps"):
        address = _network(text, scheme, None)
        if address.kind is Kind.LISTEN:
            raise UsageError("a sink cannot listen", "leave ?listen=1 out, or give a file")
        if "@" in urlsplit(text).netloc:
            raise UsageError("a sink takes no user name", "put the stream key after the last /")
        return address
    if scheme == "null":
        if text != "null:":
            raise UsageError("null: takes nothing after it", _SINK_HINT)
        return Address(Kind.NULL, "")
    if scheme == "camera":
        return _camera(text.split(":", 1)[1])
    if scheme is None and not looks_like_address(text):
        return Address(Kind.FILE, text)
    return _file_or_refuse(text, _SINK_HINT)


def _camera(device: str) -> Address:
    """A PipeWire camera, or a v4l2loopback device that is named."""
    if device and not _VIDEO_DEVICE.match(device):
        raise UsageError("camera: takes nothing after it, or a device", "give camera:/dev/video10")
    return Address(Kind.CAMERA, device)


def same_file(source: Address, sink: Address) -> bool:
    """Whether writing the sink would overwrite the source."""
    if source.kind is not Kind.FILE or sink.kind is not Kind.FILE:
        return False
    try:
        # By what they are, not by name: links of both kinds are noticed.
        return os.path.samefile(source.target, sink.target)
    except OSError:
        # One of them does not exist (yet): then only equal paths name the same file.
        return os.path.realpath(source.target) == os.path.realpath(sink.target)


def _scheme(text: str) -> str | None:
    found = _SCHEME.match(text)
    return found.group(1).lower() if found else None


def _refuse_unprintable(text: str, hint: str) -> None:
    if not text or not text.isprintable():
        raise UsageError("the address is empty or holds control characters", hint)


def _file_or_refuse(text: str, hint: str) -> Address:
    # "a:b.mp4" may well be a file; it is one only if it is there. So may "srt/b.mp4" be one,
    # where there is such a folder.
    # Asked of os.path, which says no to a name that is too long; pathlib raises.
    there = os.path.exists(text)
    beside = ":" not in text and os.path.isdir(os.path.dirname(text) or ".")
    if "://" not in text and (there or beside):
        return Address(Kind.FILE, text)
    if looks_like_address(text):
        raise UsageError(f"{shown_as(text)} is not an address that can be guarded", hint)
    scheme = text.split(":", 1)[0].lower()
    raise UsageError(f"{scheme}: is not an address that can be guarded", hint)


def _graph(graph: str) -> Address:
    if not graph:
        raise UsageError("no graph is given", "give for example lavfi:testsrc2=size=640x360")
    check_graph(graph)
    return Address(Kind.LAVFI, graph)


def _network(text: str, scheme: str, bind: str | None) -> Address:
    shape = "rtsp://host/path" if scheme == "rtsp" else f"{scheme}://host/app/key"
    if "://" not in text or any(sign.isspace() for sign in text):
        raise UsageError(f"{shown_as(text)} is not an address", f"write {shape}")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{shown_as(text)} is not an address", f"write {shape}") from error
    if not parts.hostname:
        raise UsageError(f"{shown_as(text)} names no host", f"write {shape}")
    listen = scheme != "rtsp" and "listen=" in parts.query
    if not listen:
        if bind is not None:
            raise UsageError(
                "an address to listen at goes with rtmp://…?listen=1 only", "leave --bind out"
            )
        default = {"rtmp": RTMP_PORT, "rtmps": 443, "rtsp": 554}[scheme]
        return Address(Kind(scheme), text, parts.hostname, port or default)
    return _listen(parts, port or RTMP_PORT, bind)


def _listen(parts: SplitResult, port: int, bind: str | None) -> Address:
    if parts.scheme.lower() != "rtmp" or parts.query != "listen=1":
        raise UsageError(
            f"{shown_as(parts.geturl())} cannot be listened at",
            "write rtmp://127.0.0.1:1935/app/key?listen=1",
        )
    if parts.username or parts.password:
        raise UsageError("a listener takes no user name", "leave out what stands before the @")
    host = bind if bind is not None else (parts.hostname or "")
    if bind is not None and not _is_ip(bind):
        raise UsageError(f"--bind {bind!r} is not an IP address", "give for example 192.168.1.5")
    if bind is None and not _is_loopback(host):
        raise UsageError(
            f"{shown_as(parts.geturl())} would listen beyond this machine",
            "use 127.0.0.1, or name the address with --bind",
        )
    where = f"[{host}]" if ":" in host else host
    target = _at_authority(parts, f"{where}:{port}")
    return Address(Kind.LISTEN, target, host, port)


def _at_authority(parts: SplitResult, authority: str) -> str:
    path = parts.path if len(parts.path) > 1 else "/live"
    return f"rtmp://{authority}{path}"


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_ip(host) and ipaddress.ip_address(host).is_loopback)
