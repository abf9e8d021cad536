"""Searches bytes for a marked picture: as it was, in part, smaller, in other colours, packed.

Exact pieces of rows are looked for first; then every row of any raw picture, by its likeness;
then pictures that libav or Pillow can read; then the same in what was compressed, or written
as base64 or hexadecimal.
"""

from __future__ import annotations

import base64
import binascii
import bz2
import io
import lzma
import re
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from safelight.audit import mark
from safelight.audit.mark import Mark
from safelight.errors import SafelightError
from safelight.testing.canary import at_size
from safelight.testing.drawings import Rgb
from safelight.testing.film import read_back

MOST_BYTES: Final = 64 << 20  # of one file; what is longer is searched so far, and said to be
_LIKE_BYTES: Final = 4 << 20  # searched for rows by likeness
_PIECE: Final = 40  # bytes of a row: as good as never twice by chance
_ROW_LIKE: Final = 0.65  # 224 samples of noise stay within 0.4
_LEAST: Final = 1024
_DEPTH: Final = 2
_PICTURES: Final = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"RIFF",
    b"GIF8",
    b"BM",
    b"II*\0",
    b"MM\0*",
)
_MOST_PICTURES: Final = 200
# Each begins only where a run of such signs does: else a file of many long runs that are too
# short, such as a raw picture, would be looked through again from every sign of each.
_BASE64: Final = re.compile(rb"(?<![A-Za-z0-9+/_\-\\\r\n])[A-Za-z0-9+/_\-\\\r\n]{2000,}+")
_TEXT: Final = bytes(range(9, 14)) + bytes(range(32, 127))
_HEX: Final = re.compile(rb"(?<![0-9a-fA-F])(?:[0-9a-fA-F]{2}[\s:,]?){2000,}+")

Signal = NDArray[np.float32]


class Marked:
    """One marked picture and what of it is looked for."""

    def __init__(self, pattern: Mark, pictures: list[tuple[NDArray[np.uint8], Rgb]]) -> None:
        """``pictures``: luma (360, 640) and RGB (360, 640, 3), as a guard decodes them."""
        self.mark = pattern
        self.pieces = {piece for luma, rgb in pictures for piece in _pieces(luma, rgb)}
        self.rows = [row for luma, _ in pictures for row in _rows(luma)]


def find(data: bytes, marked: Marked, *, thorough: bool = True) -> str | None:
    """Say how a marked picture is in ``data``; None when it is not.

    ``thorough`` looks for what is only like it, too.
    """
    return _find(data, marked, thorough, 0)


def in_film(path: Path, marked: Marked) -> tuple[float, int]:
    """Return the greatest likeness of any picture of a film to the mark, and their number.

    Raises:
        SourceError: it is no film.
    """
    best, count = 0.0, 0
    for shown in read_back(path):
        best = max(best, mark.likeness(marked.mark, shown.luma.astype(np.float32)))
        count += 1
    return best, count


def find_in_film(path: Path, marked: Marked) -> str | None:
    """Say that a picture of a film is marked; None when none is, or it is no film."""
    try:
        best, _ = in_film(path, marked)
    except SafelightError:
        return None
    return "in a film" if best >= mark.LIKE else None


def _find(data: bytes, marked: Marked, thorough: bool, depth: int) -> str | None:
    data = data[:MOST_BYTES]
    if len(data) < _PIECE:
        return None
    if any(piece in data for piece in marked.pieces):
        return "raw, byte for byte"
    if (how := _pictures(data, marked)) is not None:
        return how
    if thorough and (how := _rows_like(data[:_LIKE_BYTES], marked)) is not None:
        return how
    if depth < _DEPTH:
        for how, inner in _unpacked(data):
            found = _find(inner, marked, thorough, depth + 1)
            if found is not None:
                return f"{found}, {how}"
    return None


def _pieces(luma: NDArray[np.uint8], rgb: Rgb) -> Iterator[bytes]:
    planes = [luma, *(np.ascontiguousarray(rgb[..., c]) for c in range(3))]
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        line = int(luma.shape[0] * share)
        for at in (0.1, 0.45, 0.8):
            left = int(luma.shape[1] * at)
            whole = slice(left, left + _PIECE)
            for plane in planes:
                yield plane[line, whole].tobytes()
            yield rgb[line, whole].tobytes()[:_PIECE]
            yield rgb[line, whole, ::-1].tobytes()[:_PIECE]


def _rows(luma: NDArray[np.uint8]) -> Iterator[Signal]:
    """Yield rows to look for, at the sizes in which a program would hold the picture."""
    height, width = luma.shape
    sizes = ((width, height), (width // 2, height // 2), (256, 256), (224, 224))
    for size in sizes:
        small = np.asarray(at_size(luma, size), np.float32)
        yield small[len(small) // 2]


def _rows_like(data: bytes, marked: Marked) -> str | None:
    if len(data) < _LEAST or not data.translate(None, _TEXT):
        return None
    for how, signal in _signals(data):
        steep = np.diff(signal)
        if len(steep) > 1 and np.any(steep) and _has_row(steep, marked.rows):
            return f"a row of it, as {how}"
    return None


def _signals(data: bytes) -> Iterator[tuple[str, Signal]]:
    """Yield the bytes as samples of each form in which pictures lie in memory."""
    octets = np.frombuffer(data, np.uint8)
    yield "bytes", octets.astype(np.float32)
    for step, what in ((3, "colours side by side"), (4, "colours with alpha")):
        for first in range(step):
            yield what, octets[first::step].astype(np.float32)
    for kind in ("<f4", "<f2", "<u2"):
        whole = len(data) // np.dtype(kind).itemsize
        for shift in (0, 1) if kind == "<u2" else (0,):
            part = data[shift : shift + (whole - 1) * np.dtype(kind).itemsize]
            with np.errstate(all="ignore"):
                numbers = np.frombuffer(part, kind).astype(np.float32)
                yield "numbers", np.nan_to_num(np.clip(numbers, -1e5, 1e5), copy=False)


def _has_row(signal: Signal, rows: list[Signal]) -> bool:
    """Whether somewhere in a signal there is what is a row, but for brightness and contrast."""
    size = 1 << int(np.ceil(np.log2(len(signal) + max(len(row) for row in rows))))
    spectrum = np.fft.rfft(signal, size)
    sums = np.concatenate(([0.0], np.cumsum(signal, dtype=np.float64)))
    squares = np.concatenate(([0.0], np.cumsum(signal.astype(np.float64) ** 2)))
    for row in rows:
        steep = np.diff(row)
        length = len(steep)
        if length > len(signal):
            continue
        steep = steep - steep.mean()
        together = np.abs(np.fft.irfft(spectrum * np.conj(np.fft.rfft(steep, size)), size))
        window = squares[length:] - squares[:-length]
        window -= (sums[length:] - sums[:-length]) ** 2 / length
        least = 1e-6 * max(1.0, float(squares[-1]) / len(signal)) * length
        spread = np.sqrt(np.maximum(window, least)) * float(np.linalg.norm(steep))
        if np.any(together[: len(spread)] > _ROW_LIKE * spread):
            return True
    return False


def _pictures(data: bytes, marked: Marked) -> str | None:
    for magic in _PICTURES:
        at = -1
        for _ in range(_MOST_PICTURES):
            at = data.find(magic, at + 1)
            if at < 0:
                break
            if _picture_is(data[at:], marked):
                return f"in a picture file ({magic[:4].strip(bytes(range(32))).decode('latin-1')})"
    return None


def _picture_is(data: bytes, marked: Marked) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pictures that are none
            with Image.open(io.BytesIO(data)) as image:
                if image.width * image.height > 1 << 26:
                    return False
                grey = np.asarray(image.convert("L"), np.float32)
    # Whatever a library says of bytes that only look like a picture: they are none.
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        return False
    return mark.likeness(marked.mark, grey) >= mark.LIKE


def _unpacked(data: bytes) -> Iterator[tuple[str, bytes]]:
    openers: tuple[tuple[str, bytes, Callable[[], object]], ...] = (
        ("compressed (gzip)", b"\x1f\x8b\x08", lambda: zlib.decompressobj(31)),
        ("compressed (zlib)", b"\x78\x9c", zlib.decompressobj),
        ("compressed (zlib)", b"\x78\x01", zlib.decompressobj),
        ("compressed (zlib)", b"\x78\xda", zlib.decompressobj),
        ("compressed (bzip2)", b"BZh", bz2.BZ2Decompressor),
        ("compressed (xz)", b"\xfd7zXZ\0", lzma.LZMADecompressor),
    )
    for how, magic, opener in openers:
        at = -1
        for _ in range(_MOST_PICTURES):
            at = data.find(magic, at + 1)
            if at < 0:
                break
            inner = _decompressed(opener(), data[at:])
            if len(inner) >= _LEAST:
                yield how, inner
    for match in _BASE64.finditer(data):
        text = re.sub(rb"[^A-Za-z0-9+/_-]", b"", match[0]).translate(bytes.maketrans(b"-_", b"+/"))
        for first in range(4):  # a word may stand right before it
            whole = (len(text) - first) // 4 * 4
            yield "written as base64", base64.b64decode(text[first : first + whole])
    for match in _HEX.finditer(data):
        digits = re.sub(rb"[^0-9a-fA-F]", b"", match[0])
        yield "written as hexadecimal", binascii.unhexlify(digits[: len(digits) // 2 * 2])


def _decompressed(opener: object, data: bytes) -> bytes:
    try:
        return bytes(getattr(opener, "decompress")(data, MOST_BYTES))  # noqa: B009  (three kinds)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError):
        return b""
