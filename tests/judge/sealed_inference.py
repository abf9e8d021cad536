"""A sealed judge that looks at pictures with the real default bundle, run as a program.

``python -m tests.judge.sealed_inference WHO CLIP`` ends with 0 if it survived; it prints JSON.
Under strace, what it does between the two marks on standard error is what an inference asks
of the kernel.
"""

from __future__ import annotations

import datetime
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import av
import cv2
import dlib
import numpy as np
from tests.judge import sealed

from safelight.bundle import trust
from safelight.detect import views
from safelight.detect.detectors import Detectors
from safelight.judge import sandbox
from safelight.types import Picture

SIZES: Final = ((16, 16), (64, 48), (640, 480), (1280, 720), (1920, 1080), (3840, 2160))
TODAY: Final = datetime.date(2026, 11, 22)
MEMORY: Final = 512 << 20


def pictures(clip: str) -> list[Picture]:
    with av.open(clip) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
    return [views.from_rgb(np.asarray(cv2.resize(frame, size), np.uint8)) for size in SIZES]


def look(detectors: Detectors, names: tuple[str, ...], shown: list[Picture]) -> int:
    """Every view of every picture, the age detector too; return how many faces it saw."""
    faces = 0
    age: Any = vars(detectors)["_age"]
    for picture in shown:
        for name in names:
            detectors.infer(picture, (name,))
        detectors.infer(picture, names)
        rows = age.rows(views.fit(views.shown(picture), 640))
        faces += 0 if rows is None else len(rows)
        gc.collect()
        time.thread_time()
    return faces


def raised(detectors: Detectors) -> list[str]:
    """Exceptions of Python, of onnxruntime and of dlib, by the name of their type."""
    session: Any = vars(vars(vars(detectors)["_scoring"])["_network"])["_session"]
    name = session.get_inputs()[0].name
    attempts: tuple[Callable[[], object], ...] = (
        lambda: detectors.infer(views.from_rgb(np.zeros((16, 16, 3), np.uint8)), ("no such",)),
        lambda: session.run(None, {name: np.zeros((1, 2, 3), np.float32)}),
        lambda: vars(dlib)["rectangle"]("not a number"),
        lambda: cv2.resize(np.zeros((0, 0), np.uint8), (10, 10)),
        lambda: bytearray(1 << 45),
    )
    found = []
    for attempt in attempts:
        try:
            attempt()
        except Exception as error:  # noqa: BLE001  (of whatever kind: it must not kill)
            found.append(type(error).__name__)
    return found


def main() -> None:
    who, clip = sys.argv[1:]
    bundle = trust.verify(trust.default_folder(), allow_test=False, today=TODAY)
    detectors = Detectors(bundle)
    detectors.self_test()
    names = tuple(view.name for view in (*bundle.every, *bundle.in_turn))
    shown = pictures(clip)
    questions, answers = os.pipe()
    sealed.become(who)
    prepared = sandbox.prepare(MEMORY)
    pid = os.fork()
    if pid == 0:
        layers = sandbox.seal()
        os.write(2, b"MARK begin\n")
        faces = look(detectors, names, shown)
        told = {"faces": faces, "raised": raised(detectors), "missing": sandbox.missing(layers)}
        os.write(2, b"MARK end\n")
        os.write(answers, json.dumps(told).encode())
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if not os.WIFEXITED(status):
        os.write(1, json.dumps({"signal": os.WTERMSIG(status)}).encode())
        os._exit(1)
    found = json.loads(os.read(questions, 4096))
    found["held"] = [layer.name for layer in prepared if layer.held]
    os.write(1, json.dumps(found).encode())
    os._exit(0)


if __name__ == "__main__":
    main()
