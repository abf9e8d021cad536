"""``safelight demo``: a drawn scene, a canary in it, and what the guard makes of them."""

from __future__ import annotations

import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

import safelight
from safelight import messages
from safelight.cli.outputs import Outputs
from safelight.cli.stopping import Stop, Stopped
from safelight.errors import SinkError, UsageError
from safelight.testing import canary, scenes, showing
from safelight.testing.checking import Check, check
from safelight.testing.drawings import Rgb
from safelight.testing.drawn_source import DrawnSource
from safelight.testing.film import Film, Shown, loudness, read_back, rgb_of, write_png
from safelight.types import Picture

SIZE: Final = (640, 360)
RATE: Final = 30
SECONDS: Final = 12
# When the canary is in view, seconds: a glimpse, which is covered and lifts by itself, then
# long enough to be confirmed, which interrupts.
CANARY: Final = ((2.5, 3.0), (6.5, 9.5))
_TONE_HZ: Final = 220.0
_LOUD_STEP_S: Final = 0.1
# Where picture.png looks, seconds: a benign moment, the cover, the interruption.
_MOMENTS: Final = (
    (1.8, "a drawn scene"),
    (7.0, "a canary: covered"),
    (10.6, "confirmed: interrupted until resumed"),
)
_STATES: Final = {
    "pending": "starting",
    "live": "live",
    "covered": "covered",
    "interrupted": "interrupted",
}


_FILES: Final = ("guarded.mp4", "side-by-side.mp4", "picture.png", "report.json")


def demo(
    out_dir: Annotated[
        str, typer.Option("--out", metavar="DIR", help="The folder to write to.")
    ] = "safelight-demo",
) -> int:
    """Show the guard at work on a drawn scene.

    A harmless canary appears in it twice.

    Writes guarded.mp4 (what left), side-by-side.mp4, picture.png and report.json, once all of
    it was checked; those of an earlier demo are replaced. Status 0 only if no canary frame is
    in guarded.mp4.
    """
    if not out_dir.strip():
        raise UsageError("--out is empty", "name a folder")
    out = Path(out_dir)
    _make(out)
    # What is not checked has no name that looks as if it were: it is gone if this is cut short.
    with tempfile.TemporaryDirectory(prefix=".demo-", dir=out) as folder:
        scratch = Path(folder)
        status = _demo(out, scratch)
        for name in _FILES:
            if (scratch / name).exists():
                (scratch / name).replace(out / name)
    return status


def _demo(out: Path, scratch: Path) -> int:
    guarded = scratch / "guarded.mp4"
    saw: list[Picture] = []
    typer.echo(
        f"A drawn street, {SECONDS} s. A canary appears at "
        + " and ".join(f"{start:.1f}–{end:.1f} s" for start, end in CANARY)
        + ".\nIt is a harmless postcard that the network was made to take for sexual content."
    )
    # A cool-down of the demo's own: it is gone with the demo.
    with (
        Stop() as stop,
        Outputs(str(scratch / "report.json"), None, taken=()) as outputs,
        tempfile.TemporaryDirectory(prefix=".state-", dir=scratch) as state,
    ):
        session = safelight.open(
            DrawnSource(_camera(saw), rate=RATE, tone_hz=_TONE_HZ), str(guarded), state=state
        )
        stop.opened(session.close)
        with session:
            for event in session.events():
                if event.kind == "state":
                    typer.echo(f"  {event.at_s:5.1f} s  {event.text}")
            report = session.wait()
        if report is None or stop.asked:
            raise Stopped
        outputs.report(report)
    first = round(CANARY[0][0] * RATE)
    before = 0

    def count(shown: Shown, is_card: bool) -> None:
        nonlocal before
        before += not is_card and round(shown.at_s * RATE) < first

    typer.echo(
        "It started closed: the first pictures were held until they were judged clear, and so"
        " left whole."
    )
    found = _show(scratch, guarded, report, saw, count)
    return _summary(out, report, found, whole_before=before == first)


def holds_canary(at_s: float) -> bool:
    """Whether the canary is in view at this stream time."""
    return any(start <= at_s + 1e-6 < end for start, end in CANARY)


def drawn(at_s: float) -> Picture:
    """Draw what the camera sees at this stream time."""
    draw = canary.moving if holds_canary(at_s) else scenes.scene
    return scenes.picture_from_rgb(draw(at_s, SIZE))


def _camera(kept: list[Picture]) -> Iterator[Picture]:
    for index in range(SECONDS * RATE):
        kept.append(drawn(index / RATE))
        yield kept[-1]


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryDirectory(prefix=".demo-", dir=out).cleanup()
    except OSError as error:
        why = (error.strerror or "it cannot be made").lower()
        raise SinkError(
            f"cannot write to {out} ({why})", "name another folder with --out"
        ) from None
    for name in _FILES:
        if (out / name).exists() and not (out / name).is_file():
            raise SinkError(f"{out / name} is no ordinary file", "name another folder with --out")


def _show(
    out: Path,
    guarded: Path,
    report: safelight.Report,
    saw: list[Picture],
    count: Callable[[Shown, bool], None],
) -> Check:
    """Check what was written and draw it beside what went in."""
    loud = loudness(guarded, _LOUD_STEP_S)
    starts = [span.from_pts_s for span in report.states]
    moments = {round(at * RATE): caption for at, caption in _MOMENTS}
    columns: list[tuple[str, Rgb, Rgb]] = []
    text = messages.card_text(messages.Face.REMOTE, None, test=False)

    def given(at_s: float) -> tuple[Picture, bool]:
        index = round(at_s * RATE)
        return saw[index], holds_canary(index / RATE)

    with Film(out / "side-by-side.mp4", showing.beside_size(SIZE), rate=RATE) as film:

        def add(shown: Shown, is_card: bool) -> None:
            count(shown, is_card)
            seen = rgb_of(given(shown.at_s)[0])
            span = report.states[max(0, bisect_right(starts, shown.at_s + 1e-3) - 1)]
            step = min(int(shown.at_s / _LOUD_STEP_S), len(loud) - 1)
            film.add(
                showing.beside(
                    seen,
                    shown.rgb,
                    at_s=shown.at_s,
                    state=_STATES[span.state],
                    seen_loud=0.1 / 2**0.5,
                    left_loud=loud[step] if loud else 0.0,
                )
            )
            caption = moments.get(round(shown.at_s * RATE))
            if caption is not None:
                columns.append((caption, seen, shown.rgb))

        found = check(read_back(guarded), given, text, add)
    if columns:
        write_png(out / "picture.png", showing.moments(columns))
    return found


def _summary(out: Path, report: safelight.Report, found: Check, *, whole_before: bool) -> int:
    frames = report.frames
    typer.echo(
        f"{frames.in_} pictures in: {frames.released} released, {frames.covered} covered,"
        f" {frames.interrupted} interrupted, {frames.dropped} dropped;"
        f" sound muted for {report.muted_s:.1f} s"
    )
    typer.echo(f"system leaks: {frames.unjudged_released} · misses: {report.misses}")
    typer.echo(
        f"Read back from guarded.mp4: {found.pictures} pictures, {found.benign} of the scene,"
        f" {found.cards} cards, {found.canaries} canary frames left"
        + (f", {found.unknown} that are neither" if found.unknown else "")
    )
    typer.echo(f"Look at {out}/side-by-side.mp4, {out}/picture.png and {out}/report.json.")
    if frames.unjudged_released or not found.clean or found.pictures != SECONDS * RATE:
        typer.echo("This guard leaks: do not use it, and please report it.")
        return 4
    if not whole_before:
        typer.echo("Nothing left that must not, but a harmless picture before the canary did not.")
        return 4
    typer.echo("Nothing left that must not; everything before the canary did.")
    return 0
