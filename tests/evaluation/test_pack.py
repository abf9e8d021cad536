"""The pack and its pages say what was measured, need nothing from elsewhere, and repeat."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests import programs, repository_rules
from tests.evaluation import planted
from tests.source import ROOT

from safelight.errors import UsageError
from safelight.evaluation import evaluating, evaluation, figures, packing, page, writing
from safelight.evaluation.pack import (
    Attack,
    Cell,
    Curves,
    Pack,
    Product,
    Robustness,
    RobustnessRow,
    Timing,
)


def small() -> Pack:
    """A pack of planted results, made without the real network."""
    ran = evaluating.run(
        planted.plan(
            planted.corpus(
                *(planted.item(i, "card", "a") for i in range(2)),
                *(planted.item(i, None, "b") for i in range(2)),
            )
        )
    )
    result = evaluation.of(ran, "safelight evidence --out DIR")
    row = RobustnessRow(
        transform="crop", family="geometry", recall_mean=0.5, recall_worst=0.1, system_leaks=0,
        gate_leaks=2, guarded_pictures=80, false_covers=1, benign_pictures=20,
    )  # fmt: skip
    return Pack(
        product=Product(name="Safelight", version="0", build="0" * 64, licence="Apache-2.0"),
        bundle=packing.bundle_card(),
        statements=packing.statements(),
        owner="<script>alert(1)</script>",
        system_leaks=0,
        gate_leaks=2,
        headline=result.system[:3],
        hours_for_budget=300,
        sections=(packing.section("ordinary", result), packing.section("canaries", result)),
        robustness=Robustness(
            says="s", command="c", clean_found=1, clean_pictures=1,
            figures=(figures.plain("recall_mean", "mean", 0.5, 10, "pictures"),), rows=(row,),
            cells=tuple(
                Cell(transform="crop", severity=s, pictures=1, found=1, recall=s / 5)
                for s in (1, 2, 3, 4, 5)
            ),
            attacks=(Attack(id="a", what="an attack", result="r", bad=True),),
        ),
        calibration=None,
        curves=Curves(trade_off=result.curves.trade_off, reliability=None, roc=None),
        quick=True,
        timing=Timing(
            made="now", machine="m", cores=1, command="c", wall_s={"a": 1.0},
            live=(figures.plain("added_latency_p50_ms", "l", 251, 10, "pictures"),), judged={},
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def pack() -> Pack:
    return small()


class Links(HTMLParser):
    """What a page would fetch or run, its ids, and where its links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.ids: list[str] = []
        self.to: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "link", "iframe", "object", "embed", "img"}:
            self.outside.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "xlink:href"} and not (value or "").startswith("#"):
                self.outside.append(f"{tag} {name}={value}")
            if name == "href" and (value or "").startswith("#"):
                self.to.append((value or "")[1:])
            if name == "id":
                self.ids.append(value or "")
            if name.startswith("on"):
                self.outside.append(name)


@pytest.fixture(scope="module")
def made(pack: Pack) -> dict[str, str]:
    return {
        "page": page.html(pack),
        "brief": page.render("brief.html.j2", pack=pack),
        "letter": page.render("letter.html.j2", pack=pack),
        "model": page.render("model.html.j2", pack=pack, model=pack.bundle.models[0]),
    }


@pytest.mark.slow
def test_pages_need_nothing_from_elsewhere_and_run_nothing(made: dict[str, str]) -> None:
    for name, text in made.items():
        links = Links(text)
        assert links.outside == [], name
        assert set(links.to) <= set(links.ids), name
        assert len(links.ids) == len(set(links.ids)), name
        assert not re.search(r"url\((?!#)", text), name
        assert "@import" not in text, name


@pytest.mark.slow
def test_pages_say_what_has_to_be_said_and_nothing_that_must_not(made: dict[str, str]) -> None:
    for name, text in made.items():
        plain = re.sub(r"<[^>]+>", " ", text)
        assert repository_rules.forbidden_words(plain) == [], name
    text = made["page"]
    for said in (
        "not measured", "recall on real abuse is unknown", "Do not quote these numbers",
        "300 hours", "design budget, not shown", "says nothing about recall of sexual content",
        "Works.", "gate leaks", "Misses: not measured",
    ):  # fmt: skip
        assert said in text, said
    brief = made["brief"]
    for said in ("Misses: not measured", "300 hours", "far too little", "do not quote"):
        assert said in brief, said
    letter = made["letter"]
    for field in ("your name", "your address", "your constituency"):
        assert f'class="field">{field}' in letter


# A phone's page inside a wide one, since no browser's window is as narrow as a phone.
_PHONE = """<!doctype html><iframe id=phone src="{name}.html" width=390 height=900></iframe>
<pre id=said></pre><script>phone.onload = () => {{
  const root = phone.contentDocument.documentElement;
  said.textContent = "sideways " + (root.scrollWidth - root.clientWidth);
}}</script>"""


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.parametrize("name", ["page", "brief", "letter", "model"])
def test_on_a_phone_nothing_is_cut_off_at_the_side(
    name: str, made: dict[str, str], tmp_path: Path
) -> None:
    chromium = programs.need("chromium", "chromium")
    (tmp_path / f"{name}.html").write_text(made[name], "utf-8")
    (tmp_path / "wide.html").write_text(_PHONE.format(name=name), "utf-8")
    ran = subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000",
         "--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}",
         "--dump-dom", f"file://{tmp_path / 'wide.html'}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )  # fmt: skip
    assert re.findall(r"sideways (-?\d+)</pre>", ran.stdout) == ["0"]


@pytest.mark.slow
def test_what_somebody_types_in_is_shown_and_not_run(made: dict[str, str]) -> None:
    assert "<script>" not in made["page"]
    assert "&lt;script&gt;" in made["page"]


@pytest.mark.slow
def test_every_number_names_its_command(pack: Pack, made: dict[str, str]) -> None:
    for section in pack.sections:
        assert section.command.startswith("safelight evidence")
        assert section.protocol_sha256
    assert made["page"].count('class="cmd"') >= len(pack.sections) + 2


@pytest.mark.slow
def test_a_page_comes_out_the_same_twice(pack: Pack, made: dict[str, str]) -> None:
    assert page.html(pack) == made["page"]
    assert Pack.model_validate_json(pack.as_json()) == pack


@pytest.mark.slow
def test_the_brief_is_two_pages(pack: Pack, tmp_path: Path) -> None:
    try:
        paths = writing.write_brief(pack, tmp_path)
    except UsageError as error:
        if "Pango" in str(error):
            if os.environ.get("CI") == "true":
                raise
            pytest.skip("the system libraries of Pango are missing: make setup-pages")
        raise
    pdf = next(path for path in paths if path.suffix == ".pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert re.findall(rb"/Count (\d+)", pdf) in ([b"2"], []) or b"/Count 2" in pdf


def test_a_page_may_fetch_nothing() -> None:
    with pytest.raises(ValueError, match="nothing from elsewhere"):
        page._fetches_nothing("https://example.org/font.woff")


@pytest.mark.long
def test_two_whole_runs_are_the_same_but_for_timing(media: Path, tmp_path: Path) -> None:
    results = []
    for name in ("one", "other"):
        out = tmp_path / name
        subprocess.run(
            [sys.executable, "-m", "safelight", "evidence", "--quick", "--brief", "--media",
             str(media), "--out", str(out)],
            check=True,
            cwd=ROOT,
            timeout=1200,
        )  # fmt: skip
        said = json.loads((out / "pack.json").read_text("utf-8"))
        del said["timing"]
        text = (out / "index.html").read_text("utf-8")
        cut = text.index('<section id="timing">')
        others = [p.read_bytes() for p in sorted(out.iterdir()) if p.stem not in {"pack", "index"}]
        assert len(others) == 6
        results.append((said, text[:cut], others))
    assert results[0] == results[1]
