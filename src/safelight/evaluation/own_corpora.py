"""The project's own corpora: ordinary clips, canaries, and the clips as a stand-in. All harmless.

``corpora/ordinary.json`` labels the test clips, which lie elsewhere; the others are made of
it and of drawings. Nobody in the clips stated sex, age or skin tone, so nothing is said of it.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final

from safelight.evaluation import manifest
from safelight.evaluation.manifest import Corpus, Drawing, Item, Span
from safelight.testing import canary

_DRAWN: Final[dict[str, Any]] = {
    "sexual_content": "no",
    "age_band": "nobody",
    "scene": "drawn",
    "groups": {},
    "rights": "Apache-2.0",
    "lawful_basis": "drawn by this project",
}
# How long a canary is shown in seconds, and the size of the picture.
SHOWN: Final = ((0.1, (640, 360)), (1.0, (640, 480)), (3.0, (640, 360)))


def ordinary() -> Corpus:
    """Return the ordinary clips: adults signing to a webcam, people walking past."""
    content = (files("safelight.evaluation") / "corpora" / "ordinary.json").read_text("utf-8")
    return manifest.parse(content, "corpora/ordinary.json")


def canaries(*, quick: bool = False) -> Corpus:
    """Return drawn scenes in which each canary comes and goes, and scenes without one."""
    names = canary.names()[:2] if quick else canary.names()
    shown = SHOWN[:1] if quick else SHOWN
    items = [
        Item(
            drawing=Drawing(canary=name, canary_s=s, width=w, height=h),
            stimulus="canary",
            cluster=f"canary-{name}",
            **_DRAWN,
        )
        for name in names
        for s, (w, h) in shown
    ]
    items += [
        Item(
            drawing=Drawing(before_s=4.0, after_s=0.0, width=w, height=h),
            stimulus="none",
            cluster="scene",
            **_DRAWN,
        )
        for w, h in sorted({size for _, size in shown})
    ]
    return Corpus(
        schema="safelight.corpus/1",
        id="canaries",
        title="Drawn scenes with canaries: harmless drawings that the real network misjudges",
        purpose="test",
        provenance="Drawn at run time by safelight.testing; canaries by tools/make_canaries.py.",
        items=tuple(items),
    )


def stand_in(*, quick: bool = False) -> Corpus:
    """Return the clips with a face in view as what must be covered, and drawn scenes."""
    signing = [item for item in ordinary().items if item.cluster.startswith("signer")]
    items = [
        item.model_copy(
            update={"stimulus": "stand_in", "must_cover": (Span(from_s=0.0, to_s=1e9),)}
        )
        for item in (signing[:2] if quick else signing)
    ]
    items.append(
        Item(
            drawing=Drawing(before_s=4.0, after_s=0.0, width=640, height=480),
            stimulus="none",
            cluster="scene",
            **_DRAWN,
        )
    )
    return Corpus(
        schema="safelight.corpus/1",
        id="stand-in-face",
        title="Adults signing to a webcam, with a face in view as what must be covered",
        purpose="test",
        provenance="The ordinary clips, and drawn scenes. Says nothing about sexual content.",
        items=tuple(items),
    )
