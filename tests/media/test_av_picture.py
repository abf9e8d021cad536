"""Promise 4: what is judged and what leaves are the planes that came in, and only those."""

from __future__ import annotations

import gc
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from av.video.stream import VideoStream
from tests.media.helpers import content, fill, picture, psnr, read, video_frame, write_video

from safelight.media.av_picture import _turn, side_data_of, to_picture
from safelight.media.fitness import UnfitPictureError
from safelight.types import PictureFormat


class _Labelled:
    """A frame with a transfer that the binding may not let us set."""

    def __init__(self, frame: av.VideoFrame, transfer: int) -> None:
        self._frame = frame
        self.color_trc = transfer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._frame, name)


def rgb(width: int, height: int, kind: str, colour: tuple[int, ...]) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, kind)
    fill(frame.planes[0], np.tile(np.array(colour, dtype=np.uint8), (height, width)))
    return frame


@pytest.mark.parametrize("kind", ["yuv420p", "yuvj420p"])
def test_planes_are_copied_byte_for_byte(kind: str) -> None:
    # 70 wide: rows are padded, and the padding must not come along.
    drawn = picture(3, 70, 46)
    frame = video_frame(drawn, 0, Fraction(1, 30))
    if kind == "yuvj420p":
        frame.color_range = 2
    made = to_picture(frame)
    for got, want in zip((made.y, made.u, made.v), (drawn.y, drawn.u, drawn.v), strict=True):
        assert np.array_equal(got, want)
    assert made.format.full_range is (kind == "yuvj420p")


def test_a_picture_owns_its_planes() -> None:
    """A decoder uses its buffers again: what was judged must not change afterwards."""
    drawn = picture(3)
    frame = video_frame(drawn, 0, Fraction(1, 30))
    made = to_picture(frame)
    for plane in frame.planes:
        fill(plane, np.zeros((24, 32), dtype=np.uint8))
    assert np.array_equal(made.y, drawn.y)
    assert made.y.base is None
    assert not made.y.flags.writeable


@pytest.mark.parametrize(
    "kind",
    ["nv12", "yuv420p10le", "yuv422p", "yuv444p", "yuv422p10le", "yuva420p", "yuv411p", "p010le"],
)
def test_other_layouts_become_the_same_picture(kind: str) -> None:
    drawn = picture(3)
    made = to_picture(video_frame(drawn, 0, Fraction(1, 30), kind))
    assert psnr(made.y, drawn.y) > 48
    assert psnr(made.u, drawn.u) > 40
    assert psnr(made.v, drawn.v) > 40


@pytest.mark.parametrize("range_", [0, 1, 2])
@pytest.mark.parametrize("kind", ["yuv422p", "yuv420p10le", "yuv444p10le", "yuva420p"])
def test_conversion_keeps_the_range(kind: str, range_: int) -> None:
    frame = video_frame(picture(3), 0, Fraction(1, 30), kind)
    frame.color_range = range_
    made = to_picture(frame)
    assert made.format.full_range is (range_ == 2)
    assert abs(int(made.y[20, 20]) - int(picture(3).y[20, 20])) <= 1


@pytest.mark.parametrize("kind", ["gray", "gray10le", "ya8"])
@pytest.mark.parametrize("range_", [1, 2])
def test_grey_keeps_its_numbers(kind: str, range_: int) -> None:
    frame = av.VideoFrame(32, 32, kind)
    if kind == "gray10le":
        low, high = 220 * 4 & 255, 220 * 4 >> 8
        fill(frame.planes[0], np.tile(np.array([low, high], dtype=np.uint8), (32, 32)))
    else:
        row = [220] if kind == "gray" else [220, 255]
        fill(frame.planes[0], np.tile(np.array(row, dtype=np.uint8), (32, 32)))
    frame.color_range = range_
    made = to_picture(frame)
    assert abs(int(made.y[5, 5]) - 220) <= 1
    assert made.u[3, 3] == made.v[3, 3] == 128
    assert made.format.full_range is (range_ == 2)


def test_rgb_becomes_limited_range_709() -> None:
    made = to_picture(rgb(32, 32, "rgb24", (255, 0, 0)))
    assert (made.format.matrix, made.format.full_range) == (1, False)
    assert [int(p[4, 4]) for p in (made.y, made.u, made.v)] == pytest.approx([63, 102, 240], abs=1)


@pytest.mark.parametrize("kind", ["rgba", "bgra"])
def test_what_alpha_hides_is_black_before_it_is_judged(kind: str) -> None:
    """A viewer that ignores alpha would otherwise see what the judge did not, or vice versa."""
    hidden = to_picture(rgb(32, 32, kind, (255, 255, 255, 0)))
    assert (hidden.y == 16).all()
    assert (hidden.u == 128).all()
    half = to_picture(rgb(32, 32, kind, (255, 255, 255, 128)))
    assert abs(int(half.y[5, 5]) - 126) <= 1
    shown = to_picture(rgb(32, 32, kind, (255, 255, 255, 255)))
    assert abs(int(shown.y[5, 5]) - 235) <= 1


@pytest.mark.parametrize("kind", ["yuva420p", "yuva444p", "gbrap"])
def test_alpha_of_every_layout_is_flattened(kind: str) -> None:
    frame = rgb(32, 32, "rgba", (10, 200, 30, 0)).reformat(format=kind, threads=1)
    made = to_picture(frame)
    assert (made.y == 16).all()


def test_a_palette_may_hide_alpha_too() -> None:
    frame = av.VideoFrame(32, 32, "pal8")
    fill(frame.planes[0], np.ones((32, 32), dtype=np.uint8))
    palette = np.frombuffer(memoryview(_any(frame.planes[1])), dtype=np.uint32)
    palette[1] = 0x00FFFFFF  # white, wholly transparent
    assert (to_picture(frame).y == 16).all()
    palette[1] = 0xFFFFFFFF
    assert abs(int(to_picture(frame).y[3, 3]) - 235) <= 1


def _any(value: Any) -> Any:
    return value


@pytest.mark.parametrize("size", [(65, 49), (64, 49), (65, 48)])
@pytest.mark.parametrize("kind", ["yuv420p", "nv12", "gray", "rgb24", "yuva420p"])
def test_an_odd_last_row_or_column_is_cut(size: tuple[int, int], kind: str) -> None:
    frame = av.VideoFrame(*size, kind)
    made = to_picture(frame)
    assert (made.format.width, made.format.height) == (64, 48)


@pytest.mark.parametrize("size", [(14, 64), (64, 14), (7700, 32), (4400, 4400)])
def test_sizes_that_cannot_be_guarded_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(UnfitPictureError):
        to_picture(av.VideoFrame(*size, "yuv420p"))


@pytest.mark.parametrize("matrix", [8, 11, 14])
def test_colours_that_a_person_would_see_otherwise_are_refused(matrix: int) -> None:
    frame = video_frame(picture(0), 0, Fraction(1, 30))
    frame.colorspace = matrix
    with pytest.raises(UnfitPictureError, match="matrix"):
        to_picture(frame)


@pytest.mark.parametrize("transfer", [8, 9, 10, 16, 17, 18, 19, 255, 256])
def test_light_that_a_person_would_see_otherwise_is_refused(transfer: int) -> None:
    """Linear, log and HDR video is shown by its transfer, which the judge does not apply."""
    with pytest.raises(UnfitPictureError, match="SDR"):
        to_picture(cast(Any, _Labelled(video_frame(picture(0), 0, Fraction(1, 30)), transfer)))


@pytest.mark.parametrize("transfer", [0, 1, 2, 3, 4, 6, 13, 15])
def test_ordinary_light_is_taken(transfer: int) -> None:
    frame = video_frame(picture(0), 0, Fraction(1, 30))
    frame.color_trc = transfer
    assert to_picture(frame).format.transfer == (2 if transfer in (0, 3) else transfer)


def test_colour_and_aspect_are_told() -> None:
    frame = video_frame(picture(0), 0, Fraction(1, 30))
    frame.colorspace, frame.color_primaries, frame.color_trc = 9, 9, 14
    made = to_picture(frame, Fraction(4, 3)).format
    assert (made.matrix, made.primaries, made.transfer) == (9, 9, 14)
    assert made.sample_aspect == Fraction(4, 3)
    for odd in (None, Fraction(0), Fraction(-1), Fraction(10**9, 3)):
        assert to_picture(frame, odd).format.sample_aspect == 1


@pytest.mark.parametrize(
    ("degrees", "flips", "upright"),
    [
        (0, {}, lambda p: p),
        # libav counts degrees counter-clockwise.
        (90, {}, lambda p: np.rot90(p, 1)),
        (180, {}, lambda p: np.rot90(p, 2)),
        (-90, {}, lambda p: np.rot90(p, -1)),
        (0, {"hflip": True}, lambda p: p[:, ::-1]),
        (0, {"vflip": True}, lambda p: p[::-1]),
    ],
)
def test_pictures_are_set_upright(
    tmp_path: Path, degrees: int, flips: dict[str, bool], upright: Any
) -> None:
    def turned(_: object, stream: VideoStream) -> None:
        stream.set_display_rotation(degrees, **flips)

    path = write_video(tmp_path / "turned.mp4", range(3), extra=turned, options={"crf": "8"})
    made = content(read(path).pictures[0])
    want = upright(picture(0).y)
    assert made.y.shape == want.shape
    assert psnr(made.y, want) > 40


def test_a_quarter_turn_swaps_the_aspect(tmp_path: Path) -> None:
    def turned(_: object, stream: VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        stream.set_display_rotation(90)

    path = write_video(tmp_path / "turned.mp4", range(3), extra=turned)
    assert content(read(path).pictures[0]).format == PictureFormat(
        48, 64, sample_aspect=Fraction(3, 4)
    )


def test_a_slant_is_refused() -> None:
    with pytest.raises(UnfitPictureError, match="quarter"):
        _turn((0, 0, 0, 0))
    with pytest.raises(UnfitPictureError, match="quarter"):
        _turn((1, 1, 0, 1))


@pytest.mark.parametrize(
    "kind", ["yaf32le", "yaf32be", "grayf32le", "gbrapf32le", "bgr4", "gray32le"]
)
def test_what_cannot_be_converted_is_refused(kind: str) -> None:
    """libav ends the whole process over the first two, and fails in its own way over the last."""
    with pytest.raises(UnfitPictureError, match="unusual way"):
        to_picture(av.VideoFrame(32, 32, kind))


def test_what_was_read_of_a_picture_does_not_keep_it_in_memory(tmp_path: Path) -> None:
    """Pictures go when nobody holds them, not when Python looks for rings: that takes hundreds."""
    film = write_video(tmp_path / "film.mp4", range(30))
    gc.collect()
    gc.disable()
    try:
        with av.open(str(film)) as container:
            for frame in container.decode(video=0):
                side_data_of(frame)
                to_picture(frame, None)
            del frame
        assert gc.collect() < 30
    finally:
        gc.enable()
