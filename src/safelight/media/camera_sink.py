"""A virtual camera that other apps can choose: what may leave is what they see.

The camera is offered by a program of its own, ``gst-launch-1.0``, which gets pictures through
a pipe and is killed when the guard ends, however it ends: then the camera is gone. The guard
itself speaks to no desktop service.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import threading
import time
from concurrent.futures import Future
from typing import Final

from safelight.errors import SinkError, SinkLostError
from safelight.media.fit import fit
from safelight.media.interface import SourceInfo
from safelight.types import Picture, PictureFormat, SafeFrame

NODE: Final = "safelight-camera"
DESCRIPTION: Final = "Safelight guarded camera"
_PROGRAM: Final = "gst-launch-1.0"
_TIES: Final = "setpriv"  # of util-linux; has the kernel kill a program when its parent ends
_HINT: Final = "see safelight doctor: PipeWire"
_LOST: Final = "see whether PipeWire runs; safelight camera status"
_STALL_S: Final = 10.0  # it drops what nobody takes, so it takes every picture at once
_SETTLE_S: Final = 0.5
_END_S: Final = 2.0
# What it needs to reach this user's PipeWire, and no key or proxy of the user's besides.
_KEPT: Final = (
    "PATH", "HOME", "LANG", "LC_ALL", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "LD_LIBRARY_PATH",
    "PIPEWIRE_REMOTE", "PIPEWIRE_RUNTIME_DIR", "PIPEWIRE_CONFIG_DIR",
)  # fmt: skip


class CameraSink:
    """Implements ``Sink``. Sound is left out: a camera has none.

    ``device``: a v4l2loopback device (``/dev/video10``) instead of a PipeWire node.
    """

    def __init__(self, device: str | None = None) -> None:
        self._device = device
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe = -1
        self._format: PictureFormat | None = None

    def open(self, info: SourceInfo) -> None:
        """Offer the camera.

        Raises:
            SinkError: a program is missing, or there is nothing to offer it to.
        """
        for program in (_PROGRAM, _TIES):
            if shutil.which(program) is None:
                raise SinkError(f"{program} is missing, which offers the camera", _HINT)
        self._format = info.format
        reading, writing = os.pipe()
        try:
            self._process = _tied([_PROGRAM, *pipeline(info, self._device)], reading)
        except OSError as error:
            os.close(writing)
            raise SinkError(f"the camera cannot be offered ({error.strerror})", _HINT) from error
        finally:
            os.close(reading)
        os.set_blocking(writing, False)
        self._pipe = writing
        # Where there is no PipeWire it gives up at once.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_SETTLE_S)
            self.close(whole=False)
            raise SinkError("the camera cannot be offered: PipeWire does not answer", _HINT)

    def write(self, frame: SafeFrame) -> None:
        """Show one picture.

        Raises:
            SinkLostError: the camera is gone.
            TypeError: anything but a SafeFrame was offered.
        """
        if type(frame) is not SafeFrame:
            raise TypeError(f"a sink takes a SafeFrame, not a {type(frame).__name__}")
        if not isinstance(frame.content, Picture) or self._format is None:
            return
        for plane in fit(frame.content, self._format):
            self._send(memoryview(plane.tobytes()))

    def close(self, *, whole: bool) -> None:
        """Take the camera away. Safe to call twice."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_S if whole else 0.0)
                return
            process.kill()
            process.wait()

    def _send(self, left: memoryview) -> None:
        end_s = time.monotonic() + _STALL_S
        while left:
            try:
                left = left[os.write(self._pipe, left) :]
            except BlockingIOError:
                select.select([], [self._pipe], [], 0.1)
            except OSError as error:
                raise SinkLostError("the guarded camera is gone", _LOST) from error
            if left and time.monotonic() > end_s:
                raise SinkLostError("the guarded camera takes no more pictures", _LOST)


def _tied(command: list[str], reading: int) -> subprocess.Popen[bytes]:
    """Start a program that the kernel kills when this process ends.

    The end of its input does not always end it: where an app stopped taking pictures, it waits
    for that app. The kernel watches the *thread* that started it, so that one waits as long.

    Raises:
        OSError: it cannot be started.
    """
    started: Future[subprocess.Popen[bytes]] = Future()

    def keep() -> None:
        try:
            process = subprocess.Popen(
                [_TIES, "--pdeathsig", "KILL", *command],
                stdin=reading,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={name: os.environ[name] for name in _KEPT if name in os.environ},
                # Ctrl-C is for the guard, which then ends the camera.
                start_new_session=True,
            )
        except BaseException as error:  # noqa: BLE001  (raised again in the thread that waits)
            started.set_exception(error)
            return
        started.set_result(process)
        process.wait()

    threading.Thread(target=keep, name="safelight-offer", daemon=True).start()
    return started.result()


def pipeline(info: SourceInfo, device: str | None) -> list[str]:
    """Return what the program is told: raw pictures in, a camera out, old ones dropped."""
    form = info.format
    size = form.width * form.height * 3 // 2
    rate = f"{round(info.frame_rate * 1000)}/1000" if info.frame_rate > 0 else "30/1"
    aspect = f"{form.sample_aspect.numerator}/{form.sample_aspect.denominator}"
    colours = f"{1 if form.full_range else 2}:{_MATRIX.get(form.matrix, 0)}:0:0"
    into = ["v4l2sink", f"device={device}", "sync=false"]
    if device is None:
        # Its own buffers are filled by copying: handing them up the pipeline crashes it.
        properties = (
            f"p,media.class=Video/Source,media.role=Camera,node.name={NODE},"
            # Its words are read apart twice, so their spaces are escaped.
            f'node.description=(string)"{DESCRIPTION.replace(" ", chr(92) + " ")}"'
        )
        # PipeWire's own clock takes pictures from it (mode=provide would have it drive the apps).
        # An app that takes none for half a second would keep every buffer: it got none any more,
        # and after an app that crashed nobody did.
        into = ["identity", "drop-allocation=true", "!", "pipewiresink", "mode=default"]
        into += [f"stream-properties={properties}", "sync=false"]
    return [
        "-q", "--no-fault", "fdsrc", "fd=0", f"blocksize={size}", "!", "rawvideoparse",
        "format=i420", f"width={form.width}", f"height={form.height}", f"framerate={rate}",
        f"pixel-aspect-ratio={aspect}", f"colorimetry={colours}", "!", "queue",
        "leaky=downstream", "max-size-buffers=2", "max-size-bytes=0", "max-size-time=0", "!",
        *into,
    ]  # fmt: skip


# GStreamer's numbers of H.273's matrices.
_MATRIX: Final = {1: 3, 5: 4, 6: 4, 7: 5, 9: 6}
