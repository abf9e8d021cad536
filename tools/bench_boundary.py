"""What the judge's own process costs beside a judge on a thread: ask to answer, per picture.

    .venv/bin/python tools/bench_boundary.py [PICTURES]

720p at 30 a second, the two in turn in one run, so that both have the same machine. Prints
milliseconds and the ratio. The pictures are drawn.
"""

from __future__ import annotations

import queue
import sys
import time

import numpy as np

from safelight.bundle import trust
from safelight.detect.views import from_rgb
from safelight.judge.inprocess import InProcessJudge
from safelight.judge.judge import Answer, Judge, JudgeFault
from safelight.judge.supervisor import ProcessJudge
from safelight.judging import verify_bundle
from safelight.testing import scenes
from safelight.types import Picture, Token

SIZE = (1280, 720)
STEP_S = 1 / 30
TURN = 30  # pictures in a row for one judge before the other's turn


def main() -> None:
    pictures = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    bundle = verify_bundle(trust.default_folder())
    drawn = [from_rgb(np.asarray(scenes.scene(i / 30, SIZE))) for i in range(TURN)]
    judges: dict[str, Judge] = {
        "one process": InProcessJudge(bundle),
        "apart": ProcessJudge(bundle),
    }
    said: dict[str, queue.SimpleQueue[Answer | JudgeFault]] = {}
    for name, judge in judges.items():
        said[name] = queue.SimpleQueue()
        judge.start(said[name].put)
    took: dict[str, list[float]] = {name: [] for name in judges}
    begun = {name: judge.cpu_seconds() for name, judge in judges.items()}
    for turn in range(pictures // TURN):
        for name, judge in judges.items():
            took[name] += ask(judge, said[name], drawn, turn)
    print(f"ms from ask to answer, {pictures} pictures of 720p at 30 a second")
    print(f"{'judge':<12} {'p50':>7} {'p99':>7} {'max':>7}")
    for name, times in took.items():
        p50, p99, most = (float(np.percentile(times, q)) for q in (50, 99, 100))
        print(f"{name:<12} {p50:7.2f} {p99:7.2f} {most:7.2f}")
    one, apart = (np.asarray(took[name]) for name in judges)
    p50, p99 = (float(np.percentile(apart, q) - np.percentile(one, q)) for q in (50, 99))
    print(f"{'difference':<12} {p50:7.2f} {p99:7.2f}")
    for name, judge in judges.items():
        used = (judge.cpu_seconds() - begun[name]) / len(took[name])
        print(f"{name}: {used * 1000:.1f} ms of CPU time a picture")
        judge.close()


def ask(
    judge: Judge, said: queue.SimpleQueue[Answer | JudgeFault], drawn: list[Picture], turn: int
) -> list[float]:
    """Ask about each picture when it is due; return milliseconds from ask to answer."""
    took = []
    due = time.perf_counter()
    for index, picture in enumerate(drawn):
        due += STEP_S
        time.sleep(max(0.0, due - time.perf_counter()))
        at = time.perf_counter()
        judge.ask(Token(1, turn * TURN + index, index), picture, judge.every)
        if not isinstance(said.get(timeout=10), Answer):
            raise SystemExit("the judge broke")
        took.append((time.perf_counter() - at) * 1000)
    return took


if __name__ == "__main__":
    main()
