"""Writes a pack's files into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from safelight.errors import UsageError
from safelight.evaluation import contact_sheet, page
from safelight.evaluation.command import made, write
from safelight.evaluation.pack import Pack
from safelight.testing.film import write_png

PACK: Final = "pack.json"
PAGE: Final = "index.html"
SHEET: Final = "transforms.png"
BRIEF: Final = "brief.html"
BRIEF_PDF: Final = "brief.pdf"
LETTER: Final = "letter.html"


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


def write_brief(pack: Pack, out: Path) -> list[Path]:
    """Write the brief for law-makers, as HTML and PDF, and the letter.

    Raises:
        UsageError: one cannot be written, or the libraries for PDF are missing.
    """
    made(out)
    brief = page.render("brief.html.j2", pack=pack)
    write(out / BRIEF, brief)
    write(out / LETTER, page.render("letter.html.j2", pack=pack))
    content = page.pdf(brief)
    part = out / (BRIEF_PDF + ".part")
    try:
        part.write_bytes(content)
        part.replace(out / BRIEF_PDF)
    except OSError as error:
        raise UsageError(
            f"{out / BRIEF_PDF} cannot be written ({error.strerror})", "name another"
        ) from None
    return [out / BRIEF, out / BRIEF_PDF, out / LETTER]
