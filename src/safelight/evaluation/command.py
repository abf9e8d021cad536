"""What ``safelight evaluate`` does: reads a corpus, runs it, writes the result."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from safelight.errors import UsageError
from safelight.evaluation import evaluating, evaluation, manifest, on_ray
from safelight.evaluation.evaluating import Plan, Tell
from safelight.evaluation.evaluation import Evaluation
from safelight.evaluation.guarding import Setup

FILE: Final = "evaluation.json"


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a sealed run is given: the lab's secret, its signing key, and where it keeps things."""

    key: Path | None
    sign_with: Path | None
    lab_dir: Path | None


@dataclass(frozen=True, slots=True)
class Request:
    """One call of the command."""

    corpus: Path
    out: Path
    files: Path | None
    setup: Setup
    jobs: int
    sealed: bool = False
    ray: str | None = None


def evaluate(request: Request, tell: Tell) -> list[str]:
    """Evaluate, write ``evaluation.json``, and return the lines to print.

    Raises:
        SafelightError: the corpus, bundle or policy cannot be used, or ``out`` not written.
    """
    corpus = manifest.read(request.corpus)
    folder = request.files or (request.corpus if request.corpus.is_dir() else request.corpus.parent)
    out = made(request.out)
    plan = Plan(corpus, folder, request.setup, out, jobs=request.jobs)
    if request.ray is not None:
        plan = replace(plan, workers=on_ray.at(request.ray))
    ran = evaluating.run(plan, tell)
    result = evaluation.of(ran, line(request))
    write(out / FILE, result.as_json())
    return told(result)


def line(request: Request) -> str:
    """Return the command line that makes the result again; paths are left to who has them."""
    setup = request.setup
    words = ["safelight", "evaluate", "CORPUS", "--out", "DIR", "--seed", str(setup.seed)]
    words += ["--policy", setup.policy if not Path(setup.policy).exists() else "FILE"]
    words += ["--bundle", "BUNDLE"] if setup.bundle is not None else []
    words += ["--test-bundle"] if setup.test_bundle else []
    words += ["--sealed"] if request.sealed else []
    return shlex.join(words)


def told(result: Evaluation) -> list[str]:
    """Return what a person is told at the end."""
    chosen = ("system", "detector", "ages", "groups")
    used = f"{result.corpus.used} of {result.corpus.items} items"
    lines = [f"{used}, protocol {result.protocol_sha256[:12]}"]
    for part in chosen:
        lines += ["", part]
        lines += [f"  {figure.what}: {figure.as_text()}" for figure in getattr(result, part)]
    if result.post_hoc:
        lines += ["", "POST HOC, changed after results were seen:"]
        lines += [f"  {c.what}: {c.before} -> {c.after}" for c in result.post_hoc]
    lines += ["", f"faults: {len(result.faults)}"]
    for fault in result.faults:
        where = f"item {fault.item}: " if fault.item is not None else ""
        lines.append(f"  {fault.kind}: {where}{fault.what}")
    return lines


def made(folder: Path) -> Path:
    """Return a folder that is there and can be written.

    Raises:
        UsageError: it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made ({error.strerror})", "name another") from None
    return folder


def write(path: Path, content: str) -> None:
    """Write a file, whole or not at all.

    Raises:
        UsageError: it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(content, "utf-8")
        part.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror})", "name another") from None
