"""The pack as pages: HTML that needs nothing else, and PDF."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any, Final

from jinja2 import DictLoader, Environment, StrictUndefined

from safelight.errors import UsageError
from safelight.evaluation import plots
from safelight.evaluation.figures import shown
from safelight.evaluation.pack import Pack

_PLOTS: Final = ("trade_off", "reliability", "groups", "robustness", "calibration", "latency")
BUDGET_PER_HOUR: Final = 0.01


def html(pack: Pack) -> str:
    """Return the page of a pack."""
    curves = pack.curves
    drawn = dict.fromkeys(_PLOTS, "")
    drawn["latency"] = plots.latency(pack.timing.live, 250.0)
    if curves.trade_off:
        drawn["trade_off"] = plots.trade_off(curves.trade_off, BUDGET_PER_HOUR)
    if curves.reliability is not None:
        drawn["reliability"] = plots.reliability((("score as a probability", curves.reliability),))
    groups = [g for section in pack.sections for g in section.groups if section.id == "ordinary"]
    if groups:
        drawn["groups"] = plots.groups(groups)
    if pack.robustness is not None:
        drawn["robustness"] = plots.robustness(pack.robustness.cells)
    if pack.calibration is not None:
        drawn["calibration"] = plots.calibration(pack.calibration)
    return render("pack.html.j2", pack=pack, plots={k: unique(k, v) for k, v in drawn.items()})


def render(template: str, **values: Any) -> str:
    """Fill in a template; everything is escaped but our own drawings and styles."""
    folder = files("safelight.evaluation") / "templates"
    texts = {
        entry.name: entry.read_text("utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith((".j2", ".css"))
    }
    environment = Environment(
        loader=DictLoader(texts),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = shown
    styles = {name: text for name, text in texts.items() if name.endswith(".css")}
    return environment.get_template(template).render(styles=styles, **values)


def pdf(page: str) -> bytes:
    """Return a page as PDF. Nothing is fetched for it.

    Raises:
        UsageError: the libraries that draw text are missing.
    """
    try:
        import weasyprint  # noqa: PLC0415  (it loads system libraries)
    except (ImportError, OSError):
        raise UsageError(
            "a PDF needs the system libraries of Pango",
            "install them (Debian, Ubuntu: apt-get install libpango-1.0-0 libpangoft2-1.0-0"
            " libharfbuzz-subset0) and the extra: pip install 'safelight[evaluation]'",
        ) from None
    library: Any = weasyprint  # it has no types of its own
    made: bytes = library.HTML(string=page, url_fetcher=_fetches_nothing).write_pdf()
    return made


def unique(name: str, svg: str) -> str:
    """Make the ids inside a drawing its own, so that several fit on one page."""
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    return svg.replace("url(#", f"url(#{name}-")


def _fetches_nothing(url: str, **_options: Any) -> dict[str, Any]:
    raise ValueError(f"a page of the pack needs nothing from elsewhere, not {url[:40]!r}")
