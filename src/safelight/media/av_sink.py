"""A sink written through libav: a file, or an RTMP server."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Final

from safelight.errors import SinkError, SinkLostError
from safelight.media.address import Address, Kind
from safelight.media.av_encode import Encoder, Quality, time_base_for
from safelight.media.av_output import FileOutput, Output
from safelight.media.av_splice import SplicingEncoder
from safelight.media.coded import CodedPictures
from safelight.media.interface import SourceInfo
from safelight.media.libav import LIBAV_ERRORS, words
from safelight.media.stream_output import StreamOutput
from safelight.types import Picture, PictureFormat, SafeFrame

# What FLV counts in.
_MILLISECOND: Final = Fraction(1, 1000)

# What is encoded between pictures that are passed on is little, and is encoded where a
# machine has least time: as a stream begins, and after a cover. At 720p 7 ms a picture
# instead of 11, for a fifth more bits.
_BETWEEN: Final = "superfast"


class AvSink:
    """Implements ``Sink``: H.264 and AAC, nothing else.

    A file takes its size from the first picture written, a server from ``info``; later
    pictures of another size or range are fitted in. Output time starts at zero with the
    first picture; sound before it is left out.

    ``preset`` is x264's, where nothing is passed on as it came. ``answer_s``: how long a server
    may take to answer. ``stall_s``: how long it may take no data. ``coded``: how pictures came;
    those leave so where that is safe (docs/adr/0021-copy-mode.md).
    """

    def __init__(
        self,
        address: Address,
        *,
        preset: str = "veryfast",
        answer_s: float = 10.0,
        stall_s: float = 10.0,
        coded: CodedPictures | None = None,
    ) -> None:
        self._address = address
        self._preset = preset
        self._answer_s = answer_s
        self._stall_s = stall_s
        self._coded = coded
        self._info: SourceInfo | None = None
        self._output: Output | None = None
        self._encoder: Encoder | SplicingEncoder | None = None
        self._closed = False

    def open(self, info: SourceInfo) -> None:
        """Open it: create the unfinished file, or connect to the server.

        Raises:
            SinkError: it cannot be opened.
        """
        if self._output is not None or self._closed:
            raise SinkError(f"{self._address.shown} is open already", "open it once")
        self._info = info
        match self._address.kind:
            case Kind.FILE:
                self._output = FileOutput(self._address)
            case Kind.RTMP | Kind.RTMPS:
                self._output = StreamOutput(
                    self._address, answer_s=self._answer_s, stall_s=self._stall_s
                )
                try:
                    self._encoder = self._start(self._output, info, info.format, _MILLISECOND)
                except LIBAV_ERRORS as error:
                    self._output.abandon()
                    raise SinkError(
                        f"cannot encode for {self._address.shown}: {words(error)}",
                        "give another size",
                    ) from error
                except BaseException:
                    self._output.abandon()
                    raise
            case _:
                raise SinkError(f"{self._address.shown} is not a sink", "give a file or rtmp://…")

    def write(self, frame: SafeFrame) -> None:
        """Let one frame leave.

        Raises:
            SinkLostError: it broke off.
            TypeError: anything but a SafeFrame was offered.
        """
        self._write(frame, late=False)

    def write_late(self, frame: SafeFrame) -> bool:
        """As ``write``, of one that waited long; return whether it left.

        In copy mode a picture that would have to be encoded is left out. That breaks no run of
        pictures that are passed on.
        """
        return self._write(frame, late=True)

    def _write(self, frame: SafeFrame, *, late: bool) -> bool:
        if type(frame) is not SafeFrame:
            raise TypeError(f"a sink takes a SafeFrame, not a {type(frame).__name__}")
        if self._output is None or self._info is None or self._closed:
            raise SinkLostError(f"{self._address.shown} is not open", "open it before writing")
        content = frame.content
        at = frame.pts * frame.time_base
        try:
            if isinstance(content, Picture):
                if self._encoder is None:
                    base = time_base_for(frame.time_base)
                    self._encoder = self._start(self._output, self._info, content.format, base)
                if isinstance(self._encoder, SplicingEncoder):
                    return self._encoder.picture(content, at, self._output.put, late=late)
                self._encoder.picture(content, at, self._output.put)
            elif self._encoder is not None:
                self._encoder.sound(content, at, self._output.put)
            return True
        except LIBAV_ERRORS as error:
            raise SinkLostError(
                f"cannot encode for {self._address.shown}: {words(error)}", "start it again"
            ) from error

    @property
    def copied(self) -> int:
        """How many pictures left as they came, coded."""
        return self._encoder.copied if isinstance(self._encoder, SplicingEncoder) else 0

    def close(self, *, whole: bool) -> None:
        """Finish. With ``whole=False``, or if no picture came, no file is left behind.

        Raises:
            SinkLostError: finishing failed; nothing that looks whole is left.
        """
        if self._closed:
            return
        self._closed = True
        if self._output is None:
            return
        if not whole or self._encoder is None:
            self._output.abandon()
            return
        try:
            self._encoder.finish(self._output.put)
        except BaseException as error:
            self._output.abandon()
            if isinstance(error, LIBAV_ERRORS):
                raise SinkLostError(
                    f"cannot finish {self._address.shown}: {words(error)}", "start it again"
                ) from error
            raise
        self._output.finish()

    def _start(
        self, output: Output, info: SourceInfo, form: PictureFormat, time_base: Fraction
    ) -> Encoder | SplicingEncoder:
        live = self._address.kind is not Kind.FILE
        # FLV cannot say that a first picture is shown late, which B-frames need.
        b_frames = not self._address.target.lower().endswith(".flv")
        quality = Quality(live=live, b_frames=b_frames, preset=self._preset)
        encoder: Encoder | SplicingEncoder
        sets = None if self._coded is None else self._coded.sets
        if self._coded is not None and sets is not None and sets.leaves_room:
            quality = dataclasses.replace(quality, splices=True, preset=_BETWEEN)
            encoder = SplicingEncoder(output.container, info, form, quality, time_base, self._coded)
        else:
            encoder = Encoder(output.container, info, form, quality, time_base)
        output.start()
        return encoder
