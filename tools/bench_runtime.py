"""Which inference library, and which of its settings, is fastest here and says the same.

    .venv/bin/python tools/bench_runtime.py [TURNS]

Runs the default bundle's network for sexual content on the bundle's own pictures: with
onnxruntime as the judge uses it (the reference), with other settings, and with OpenVINO where
safelight[fast] is installed. They take turns, so that the machine is the same for all. Prints
milliseconds and the largest difference from the reference; one that differs by more than 0.02
or lies on another side of a limit does not agree. Nothing is installed, kept or sent.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from safelight import policies
from safelight.detect import views
from safelight.judging import verify_bundle

TOLERANCE: Final = 0.02
Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def main() -> None:
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    bundle = verify_bundle()
    model = bundle.files["open-nsfw.onnx"]
    batch = pictures({test.file: bundle.files[test.file] for test in bundle.self_tests})
    ways: dict[str, Run] = {
        "onnxruntime, 1 thread (in use)": ort(model),
        "onnxruntime, no memory arena": ort(model, arena=False),
        "onnxruntime, layout optimisation only": ort(model, level=2),
        "onnxruntime, 2 threads": ort(model, threads=2),
        **openvino(model),
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    said: dict[str, NDArray[np.float32]] = {}
    for _ in range(turns):
        for name, run in ways.items():
            at = time.perf_counter()
            run(batch[:1])
            took[name].append((time.perf_counter() - at) * 1000)
    for name, run in ways.items():
        said[name] = np.concatenate([run(one[np.newaxis])[:, 1] for one in batch])
    reference = next(iter(said.values()))
    policy = policies.load(policies.DEFAULT)
    limits = (policy.with_minor_at, policy.cover_at)
    print(f"{'':40} {'least':>7} {'median':>7}   differs by")
    for name, times in took.items():
        apart = float(np.abs(said[name] - reference).max())
        sides = all(((said[name] >= at) == (reference >= at)).all() for at in limits)
        agrees = "" if apart <= TOLERANCE and sides else "  does not agree"
        print(f"{name:40} {min(times):7.2f} {np.median(times):7.2f}   {apart:.6f}{agrees}")


def pictures(files: dict[str, bytes]) -> NDArray[np.float32]:
    """Return every square view of the bundle's pictures, as the network takes them."""
    rows = []
    for png in files.values():
        rgb = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=np.uint8)
        shown = views.shown(views.from_rgb(rgb))
        for kind in ("reference", "whole", "left_square", "right_square"):
            bgr = views.render(shown, kind)[..., ::-1].astype(np.float32)
            rows.append(bgr - np.array([104, 117, 123], dtype=np.float32))
    return np.stack(rows)


def ort(model: bytes, *, threads: int = 1, arena: bool = True, level: int = 99) -> Run:
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
    # It would bring a module that reports to its maker: without that, it has a stub of its own.
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
