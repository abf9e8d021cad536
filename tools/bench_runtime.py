"""Which inference library, and which of its settings, is fastest here and says the same.

    .venv/bin/python tools/bench_runtime.py [TURNS [CLIP …]]

Runs the default bundle's network for sexual content on the bundle's canaries at 41 strengths and
on every second picture of the clips: with onnxruntime as the judge uses it (the reference), with
other settings, and with OpenVINO where safelight[fast] is installed. They take turns, so that the
machine is the same for all. Prints milliseconds and the largest difference from the reference;
one that differs by more than 0.02 or lies on another side of a limit does not agree. For those
that are much faster, besides: what they save and change if they look first
(detect/first_look.py). Nothing is installed, kept or sent.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

from safelight import policies
from safelight.core.limits import Limits
from safelight.core.policy import first_look_below
from safelight.detect import views
from safelight.detect.thinning import thinned
from safelight.judging import verify_bundle
from safelight.media.av_picture import to_picture
from safelight.testing import canary
from safelight.types import Picture

TOLERANCE: Final = 0.02
STRENGTHS: Final = 41
FASTER: Final = 0.8  # what takes more of the time in use than this is not worth a first look
Floats = NDArray[np.float32]
Run = Callable[[Floats], Floats]


def main() -> None:
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    whole = verify_bundle().files["open-nsfw.onnx"]
    model, _ = thinned(whole)
    drawn = [row for picture in canaries() for row in prepared(picture, "reference", "whole")]
    filmed = [row for clip in sys.argv[2:] for row in of_clip(Path(clip))]
    ways: dict[str, Run] = {
        "onnxruntime, 1 thread (in use)": ort(model),
        "onnxruntime, nothing left out": ort(whole),
        "onnxruntime, memory arena": ort(model, arena=True),
        "onnxruntime, layout optimisation only": ort(model, level=2),
        "onnxruntime, 2 threads": ort(model, threads=2),
        **openvino(model),
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, run in ways.items():
            at = time.perf_counter()
            run(drawn[0])
            took[name].append((time.perf_counter() - at) * 1000)
    said = {n: np.array([run(one)[0, 1] for one in (*filmed, *drawn)]) for n, run in ways.items()}
    reference = next(iter(said.values()))
    policy = policies.load(policies.DEFAULT)
    limits = (policy.with_minor_at, policy.cover_at)
    print(f"{len(filmed)} views of clips, {len(drawn)} drawn")
    print(f"{'':40} {'least':>7} {'median':>7}   differs by")
    for name, times in took.items():
        apart = float(np.abs(said[name] - reference).max())
        sides = all(((said[name] >= at) == (reference >= at)).all() for at in limits)
        agrees = "" if apart <= TOLERANCE and sides else "  does not agree"
        print(f"{name:40} {min(times):7.2f} {np.median(times):7.2f}   {apart:.6f}{agrees}")
    below = first_look_below(policy, Limits().vouch_permille)
    print(f"\nlooking first, and f32 again from {below} on")
    least = {name: min(times) for name, times in took.items()}
    exact = next(iter(least.values()))
    for name, scores in said.items():
        if least[name] > FASTER * exact:
            continue
        kept = scores < below
        again = 1.0 - float(kept[: len(filmed)].mean()) if filmed else float("nan")
        times_as_fast = exact / (least[name] + again * exact)
        print(
            f"{name:40} {again:4.0%} of the clips' again, {times_as_fast:.2f} times as fast;"
            f" differs by up to {np.abs(scores - reference)[kept].max():.4f},"
            f" highest f32 score taken for lower {reference[kept].max():.4f}"
        )


def canaries() -> Iterator[Picture]:
    """Yield every canary at rising strength."""
    for name in canary.names():
        clean = canary.clean(name).astype(np.float32)
        change = canary.load(name).astype(np.float32) - clean
        for step in range(STRENGTHS):
            rgb = np.clip(np.rint(clean + change * (step / (STRENGTHS - 1))), 0, 255)
            yield views.from_rgb(rgb.astype(np.uint8))


def of_clip(clip: Path) -> Iterator[Floats]:
    """Yield the reference view of every second picture."""
    with av.open(str(clip)) as film:
        for index, frame in enumerate(film.decode(video=0)):
            if index % 2 == 0:
                yield from prepared(to_picture(frame), "reference")


def prepared(picture: Picture, *kinds: str) -> Iterator[Floats]:
    """Yield views as the network takes them, float32 ``(1, 224, 224, 3)``."""
    shown = views.shown(picture)
    for kind in kinds:
        bgr = views.render(shown, kind)[np.newaxis, ..., ::-1].astype(np.float32)
        yield bgr - np.array([104, 117, 123], dtype=np.float32)


def ort(model: bytes, *, threads: int = 1, arena: bool = False, level: int = 99) -> Run:
    import onnxruntime  # noqa: PLC0415

    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = arena
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel(level)
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    session: Any = onnxruntime.InferenceSession(
        model, sess_options=options, providers=["CPUExecutionProvider"]
    )
    return lambda batch: np.asarray(session.run(["outputs"], {"input:0": batch})[0])


def openvino(model: bytes) -> dict[str, Run]:
    # As detect/bf16.py does.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        import openvino as library  # noqa: PLC0415
    except ImportError:
        print("OpenVINO is not installed (safelight[fast])")
        return {}
    ways: dict[str, Run] = {}
    core: Any = library.Core()
    for precision in ("f32", "bf16"):
        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        network = core.read_model(model=model)
        network.reshape([1, 224, 224, 3])
        request: Any = core.compile_model(network, "CPU", settings).create_infer_request()
        ways[f"openvino, {precision}"] = lambda batch, request=request: np.array(
            next(iter(request.infer({0: batch}).values()))
        )
    return ways


if __name__ == "__main__":
    main()
