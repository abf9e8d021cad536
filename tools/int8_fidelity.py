"""What whole numbers of eight bits would save, and what they would change.

    python tools/int8_fidelity.py FOLDER CLIP …

Quantises the default bundle's network for sexual content (static, QDQ, weights by channel;
calibrated on every 25th picture) into FOLDER and compares scores over all pictures: the
clips' frames, the bundle's canaries at 21 strengths, drawn scenes. Needs the package ``onnx``
beside the locked dependencies. Prints the time of one inference, the largest difference, how
often the two lie on different sides of a limit, and what a cascade would do: eight bits first,
and the f32 network wherever they do not say *far below every limit*. Keeps no picture.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from safelight.detect import views
from safelight.judging import verify_bundle
from safelight.media.av_picture import to_picture
from safelight.testing import canary, scenes
from safelight.types import Picture

MEAN: Final = np.array([104, 117, 123], dtype=np.float32)
LIMITS: Final = (0.1, 0.2, 0.5, 0.8)
EVERY: Final = 25
Floats = NDArray[np.float32]


def main() -> None:
    folder, clips = Path(sys.argv[1]), [Path(clip) for clip in sys.argv[2:]]
    model = verify_bundle().files["open-nsfw.onnx"]
    rows: list[NDArray[np.uint8]] = []
    for clip in clips:
        rows += of_clip(clip)
    of_clips = len(rows)
    rows += drawn()
    eight = quantised(model, folder, rows[::EVERY])
    reference, f32_ms = scores(model, rows)
    found, int8_ms = scores(eight, rows)
    apart = np.abs(reference - found)
    print(f"{len(rows)} pictures; f32 {f32_ms:.1f} ms, int8 {int8_ms:.1f} ms an inference")
    other = {at: int(((reference >= at) != (found >= at)).sum()) for at in LIMITS}
    print(f"int8 alone: differs by up to {apart.max():.3f}; on the other side of a limit: {other}")
    for below in (0.02, 0.03, 0.04, 0.05):
        kept = found < below
        again = 1.0 - float(kept[:of_clips].mean())
        cost = int8_ms + again * f32_ms
        print(
            f"int8 where it says less than {below}, else f32: {again:.0%} of the clips' again,"
            f" {f32_ms / cost:.2f} times as fast there; differs by up to {apart[kept].max():.4f},"
            f" highest f32 score taken for lower: {reference[kept].max():.3f}"
        )


def of_clip(clip: Path, most: int = 150) -> list[NDArray[np.uint8]]:
    """Return the reference view of each picture, and all views of every fourth."""
    found: list[NDArray[np.uint8]] = []
    with av.open(str(clip)) as film:
        for index, frame in enumerate(film.decode(video=0)):
            if index == most:
                break
            kinds = ("reference",) if index % 4 else views_of_network()
            found += rendered(to_picture(frame), kinds)
    return found


def drawn() -> list[NDArray[np.uint8]]:
    """Return views of canaries at rising strength, and of a drawn scene over ten seconds."""
    found: list[NDArray[np.uint8]] = []
    for name in canary.names():
        clean = canary.clean(name).astype(np.float32)
        change = canary.load(name).astype(np.float32) - clean
        for step in range(21):
            rgb = np.clip(np.rint(clean + change * (step / 20)), 0, 255).astype(np.uint8)
            found += rendered(views.from_rgb(rgb), views_of_network())
    for step in range(60):
        rgb = scenes.scene(step / 6, (640, 360))
        found += rendered(scenes.picture_from_rgb(rgb), views_of_network())
    return found


def views_of_network() -> tuple[str, ...]:
    return ("reference", "whole", "left_square", "right_square")


def rendered(picture: Picture, kinds: tuple[str, ...]) -> list[NDArray[np.uint8]]:
    shown = views.shown(picture)
    return [views.render(shown, kind) for kind in kinds]


def prepared(view: NDArray[np.uint8]) -> Floats:
    row: Floats = view[np.newaxis, ..., ::-1].astype(np.float32) - MEAN
    return row


def quantised(model: bytes, folder: Path, rows: list[NDArray[np.uint8]]) -> bytes:
    import onnx  # type: ignore[import-not-found]  # noqa: PLC0415  (not a dependency)
    from onnxruntime import quantization  # noqa: PLC0415
    from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415

    q: Any = quantization

    class Reader(q.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._rows = iter(rows)

        def get_next(self) -> dict[str, Floats] | None:
            view = next(self._rows, None)
            return None if view is None else {"input:0": prepared(view)}

    names = [str(folder / name) for name in ("13.onnx", "folded.onnx", "int8.onnx")]
    # By channel needs version 13 of the operators.
    onnx.save(onnx.version_converter.convert_version(onnx.load_from_string(model), 13), names[0])
    quant_pre_process(names[0], names[1], skip_symbolic_shape=True)
    q.quantize_static(
        names[1],
        names[2],
        Reader(),
        quant_format=q.QuantFormat.QDQ,
        per_channel=True,
        activation_type=q.QuantType.QUInt8,
        weight_type=q.QuantType.QInt8,
        calibrate_method=q.CalibrationMethod.MinMax,
        extra_options={"CalibMovingAverage": True, "CalibMaxIntermediateOutputs": 8},
    )
    return Path(names[2]).read_bytes()


def scores(model: bytes, rows: list[NDArray[np.uint8]]) -> tuple[Floats, float]:
    """Return the score of each view, and the least milliseconds of CPU for one."""
    library: Any = onnxruntime
    options = library.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = library.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    found, least = [], float("inf")
    for view in rows:
        began = time.thread_time()
        found.append(float(session.run(["outputs"], {"input:0": prepared(view)})[0][0, 1]))
        least = min(least, time.thread_time() - began)
    return np.array(found, dtype=np.float32), least * 1000


if __name__ == "__main__":
    main()
