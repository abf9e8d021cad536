"""Opening what a source's address leads to, and nothing that it may lead on to."""

from __future__ import annotations

import errno
import math
import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Final

import av
from av.container import InputContainer

from safelight.errors import SourceError
from safelight.media.address import Address, Kind
from safelight.media.libav import LIBAV_ERRORS, MAX_PIXELS, tls_options, words

# Containers that hold their own media. Playlists, stream descriptions and picture sequences
# are left out: they name other files and addresses.
_FILE_FORMATS: Final = ",".join(
    (
        "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,live_flv,mpegts,mpeg,mpegvideo,m4v",
        "h264,hevc,vvc,av1,obu,ivf,ogg,asf,nut,mxf,gif,apng,mjpeg,yuv4mpegpipe,dv,wtv,rm,swf",
        "png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,wav,mp3,aac,flac,aiff,au,caf,w64,ac3,eac3",
    )
)

# Enough to find out what a stream holds, without waiting for seconds of it (measured with
# 720p30 without sound: 5.4 s with libav's defaults, 0.9 s with these).
_QUICK: Final = {"analyzeduration": "500000", "fpsprobesize": "0"}

# A connection is opened as bytes first, which looks at none of them.
_RAW: Final = {"raw_packet_size": "65536"}

_MARKS: Final = (
    (b"#EXTM3U", "a playlist"),
    (b"ffconcat", "a playlist"),
    (b"[playlist]", "a playlist"),
    (b"[Reference]", "a playlist"),
    (b"<asx", "a playlist"),
    (b"<smil", "a playlist"),
    (b"<MPD", "a playlist"),
    (b"<WebMDashManifest", "a playlist"),
    (b"v=0\r\n", "a stream description"),
    (b"v=0\n", "a stream description"),
)


class PublisherLeftError(Exception):
    """Whoever connected to a listener went again, or does not speak RTMP."""


# What a listener cannot help; anything else was the fault of whoever connected.
_OWN_FAULT: Final = frozenset(
    {errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM, errno.ENOMEM, errno.EMFILE}
)


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A container that was opened, and the file or connection that it reads from."""

    container: InputContainer
    under: BufferedReader | InputContainer | None = None

    def close(self) -> None:
        """Let go of both."""
        self.container.close()
        if self.under is not None:
            self.under.close()


class _Nameless:
    """A file without its name: libav takes patterns in a name for a sequence of files."""

    def __init__(self, file: BufferedReader) -> None:
        self.read = file.read
        self.seek = file.seek
        self.tell = file.tell
        self.close = file.close


class _Bytes:
    """What comes over a connection, as a file that cannot seek."""

    def __init__(self, connection: InputContainer) -> None:
        self._packets = connection.demux()
        self._left = b""

    def read(self, size: int) -> bytes:
        while not self._left:
            packet = next(self._packets, None)
            if packet is None or not packet.size:
                return b""
            self._left = bytes(packet)
        data, self._left = self._left[:size], self._left[size:]
        return data


def nothing(_file: int | None) -> None:
    """Seal nothing: whoever reads in its own process goes on having other things to do."""


def open_container(
    address: Address,
    *,
    answer_s: float,
    stall_s: float,
    accept_s: float | None = None,
    seal: Callable[[int | None], None] = nothing,
) -> Opened:
    """Open the address. It may open no other file or address than the one it names.

    ``answer_s``: how long a server may take to answer; ``stall_s``: how long a live source
    may give nothing before it counts as broken off; ``accept_s``: how long to wait for a
    publisher, None without limit. ``seal`` is called, with the file's descriptor if there is
    one, once nothing more has to be opened: of files, and of RTMP, before the first byte of
    media is looked at; of RTSP, where one step of libav's connects and looks, after that.

    Raises:
        SourceError: it cannot be opened.
        TimeoutError: no publisher came in time.
        PublisherLeftError: a publisher came, and went before its stream was known.
    """
    if address.kind is Kind.FILE:
        return _open_file(address, seal)
    options = {"max_pixels": str(MAX_PIXELS)}
    timeout: tuple[float, float] | None = (answer_s, stall_s)
    form: str | None = None
    target = address.target
    match address.kind:
        case Kind.RTMP | Kind.RTMPS:
            form = "data"
            options |= _RAW | {"protocol_whitelist": "rtmp,rtmps,tls,tcp"}
            options["rw_timeout"] = str(int(stall_s * 1e6))
            if address.kind is Kind.RTMPS:
                options |= tls_options()
        case Kind.LISTEN:
            form = "data"
            options |= _RAW | {"protocol_whitelist": "rtmp,tcp", "listen": "1"}
            options["rw_timeout"] = str(int(stall_s * 1e6))
            if accept_s is not None:
                options["timeout"] = str(max(1, math.ceil(accept_s)))
            timeout = None
        case Kind.RTSP:
            form = "rtsp"
            options |= {"protocol_whitelist": "rtsp,rtp,srtp,tcp,udp", "rtsp_flags": "prefer_tcp"}
            options["timeout"] = str(int(answer_s * 1e6))
        case Kind.DEVICE:
            form = _device_format()
        case Kind.LAVFI:
            form = "lavfi"
        case _:
            raise SourceError(f"{address.shown} is not a source", "give a file or a stream")
    try:
        opened = av.open(
            target,
            "r",
            format=form,
            options=options,
            timeout=timeout,
            metadata_errors="replace",
        )
        seal(None)
        return _over(opened) if form == "data" else Opened(opened)
    except (*LIBAV_ERRORS, ValueError) as error:
        raise _not_reached(address, error, accept_s) from error


def _over(connection: InputContainer) -> Opened:
    """Look at what comes over an RTMP connection: FLV."""
    try:
        container = av.open(
            _Bytes(connection),
            mode="r",
            format="flv",
            options={"max_pixels": str(MAX_PIXELS), "protocol_whitelist": "none"} | _QUICK,
            io_open=_refuse_other,
            metadata_errors="replace",
        )
    except BaseException:
        connection.close()
        raise
    return Opened(container, connection)


def _not_reached(address: Address, error: Exception, accept_s: float | None) -> Exception:
    # A ValueError is the binding's own trouble with what it was sent, and has no number.
    if address.kind is Kind.LISTEN and getattr(error, "errno", None) not in _OWN_FAULT:
        if accept_s is not None and isinstance(error, TimeoutError):
            return TimeoutError()
        return PublisherLeftError()
    return SourceError(f"cannot open {address.shown}: {words(error)}", _HINTS[address.kind])


_HINTS: Final = {
    Kind.RTMP: "check the address, and that the stream is running",
    Kind.RTMPS: "check the address, its certificate, and that the stream is running",
    Kind.RTSP: "check the address, and that the camera is on",
    Kind.DEVICE: "check the name, and that no other program has the camera",
    Kind.LAVFI: "check the graph with: ffplay -f lavfi GRAPH",
    Kind.LISTEN: "choose another port, or stop what uses it",
}


def _device_format() -> str:
    if sys.platform == "darwin":
        return "avfoundation"
    return "dshow" if sys.platform == "win32" else "v4l2"


def _refuse_other(_url: str, _flags: int, _options: dict[str, str]) -> object:
    """Stand where libav would open a second file: nothing but the named one is opened."""
    raise PermissionError("a source may open no other file or address")


def _open_file(address: Address, seal: Callable[[int | None], None]) -> Opened:
    file = _regular_file(address)
    try:
        seal(file.fileno())
        head = file.peek(4096)[:4096]
        if not head:
            raise SourceError(f"{address.shown} is empty", "give a video file")
        kind = next((what for mark, what in _MARKS if _starts(head, mark)), None)
        if kind is not None:
            raise SourceError(
                f"{address.shown} is {kind} that names another file", "name the file itself"
            )
        options = {
            "max_pixels": str(MAX_PIXELS),
            "format_whitelist": _FILE_FORMATS,
            # No protocol has this name, so none may be opened.
            "protocol_whitelist": "none",
        }
        try:
            container = av.open(
                _Nameless(file),
                mode="r",
                options=options,
                io_open=_refuse_other,
                metadata_errors="replace",
            )
            return Opened(container, file)
        except (*LIBAV_ERRORS, ValueError) as error:
            raise _not_opened(address, head, error) from error
    except BaseException:
        file.close()
        raise


def _regular_file(address: Address) -> BufferedReader:
    path = Path(address.target)
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise SourceError(f"{address.shown} is a directory", "give a video file")
        if not stat.S_ISREG(mode):
            raise SourceError(
                f"{address.shown} is not an ordinary file",
                "give a video file, or device:… for a camera",
            )
        return path.open("rb")
    except OSError as error:
        raise SourceError(
            f"cannot open {address.shown}: {words(error)}", "check the path"
        ) from error


def _starts(head: bytes, mark: bytes) -> bool:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if mark.startswith(b"<"):
        # Markup has a prologue before the element that tells.
        return text.startswith(b"<") and mark.lower() in text.lower()
    return text.lower().startswith(mark.lower())


def _not_opened(address: Address, head: bytes, error: BaseException) -> SourceError:
    if b"\0" not in head and _is_text(head):
        return SourceError(f"{address.shown} is a text file", "give a video file")
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"):
        return SourceError(
            f"{address.shown} breaks off, or its index is damaged", "copy or record it again"
        )
    if isinstance(error, EOFError):
        return SourceError(f"{address.shown} ends before its first picture", "record it again")
    if isinstance(error, av.error.InvalidDataError | av.error.ArgumentError):
        return SourceError(
            f"{address.shown} is not a kind of video file that can be read",
            "convert it to MP4 or Matroska",
        )
    return SourceError(f"cannot open {address.shown}: {words(error)}", "convert it to MP4")


def _is_text(head: bytes) -> bool:
    try:
        # The cut may go through a character.
        head[: len(head) - 3].decode("utf-8") if len(head) > 3 else head.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
