"""Writes a pack's files into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from safelight.evaluation import contact_sheet, page
from safelight.evaluation.command import made, write
from safelight.evaluation.pack import Pack
from safelight.testing.film import write_png

PACK: Final = "pack.json"
PAGE: Final = "index.html"
SHEET: Final = "transforms.png"


def write_pack(pack: Pack, out: Path) -> list[Path]:
    """Write ``pack.json``, the page, a card for each model, the transforms' sheet.

    Raises:
        UsageError: one cannot be written.
    """
    made(out)
    texts = {PACK: pack.as_json(), PAGE: page.html(pack)}
    for model in pack.bundle.models:
        name = f"model-{model.kind.replace('_', '-')}.html"
        texts[name] = page.render("model.html.j2", pack=pack, model=model)
    for name, text in texts.items():
        write(out / name, text)
    write_png(out / SHEET, contact_sheet.draw())
    return [out / name for name in (*texts, SHEET)]
