"""The manifest of a corpus: its items, what is true of them, and by what right it is held.

``corpus.json`` in the corpus's folder; JSON Schema in spec/corpus.schema.json. What is not
known is written "unknown": a label that is missing is a fault, and is named.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from safelight.errors import UsageError
from safelight.evaluation.figures import Part

FILE: Final = "corpus.json"

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
# Part of what figures are named by, so without a dot.
Label = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
RelativePath = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._ -]*(/[A-Za-z0-9_-][A-Za-z0-9._ -]*)*$",
        max_length=300,
    ),
]
Truth = Literal["yes", "no", "unknown"]
AgeBand = Literal[
    "nobody", "0-12", "13-15", "16-17", "18-24", "25-39", "40-59", "60+", "adult", "unknown"
]
Scene = Literal[
    "ordinary",
    "breastfeeding",
    "bathing",
    "birth",
    "medical",
    "swimwear",
    "sport",
    "art",
    "lawful_adult_nudity",
    "drawn",
    "other",
    "unknown",
]
# What may be measured with, by its own terms; "lawful-holding": held by a body with a power.
RIGHTS: Final = frozenset(
    {
        "CC0-1.0",
        "CC-BY-4.0",
        "CC-BY-SA-4.0",
        "Apache-2.0",
        "public-domain",
        "consented",
        "lawful-holding",
    }
)


class Span(Part):
    """A stretch of an item in seconds, ``from_s`` included, ``to_s`` not."""

    from_s: Annotated[float, Field(ge=0)]
    to_s: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if not self.from_s < self.to_s:
            raise ValueError("a span ends after it begins")
        return self


class Drawing(Part):
    """An item that is drawn at run time: a scene, a canary in its middle, the scene again."""

    canary: Name | None = None
    before_s: Annotated[float, Field(ge=0, le=600)] = 2.0
    canary_s: Annotated[float, Field(ge=0, le=600)] = 0.0
    after_s: Annotated[float, Field(ge=0, le=600)] = 2.0
    width: Annotated[int, Field(ge=16, le=1920, multiple_of=2)] = 640
    height: Annotated[int, Field(ge=16, le=1080, multiple_of=2)] = 360
    rate: Annotated[int, Field(ge=1, le=60)] = 30

    @model_validator(mode="after")
    def _shows_something(self) -> Self:
        if (self.canary is None) != (self.canary_s == 0):
            raise ValueError("a canary is shown for a time, and only a canary is")
        if self.before_s + self.canary_s + self.after_s <= 0:
            raise ValueError("a drawing shows something")
        return self


class Item(Part):
    """One film, or one drawing, and what is true of it.

    ``stimulus`` says what kind of positive it is, if it is one: real content (a lawful
    body's), a canary, or a stand-in. Only real content says anything of recall. ``pictures``:
    how many a file holds, if that is known; damage that a decoder passes over shows by it.
    """

    file: RelativePath | None = None
    drawing: Drawing | None = None
    sexual_content: Truth
    stimulus: Literal["none", "real", "canary", "stand_in"]
    must_cover: tuple[Span, ...] = ()
    age_band: AgeBand
    age_years: Annotated[float, Field(ge=0, le=120)] | None = None
    scene: Scene
    groups: dict[Label, Label]
    pictures: Annotated[int, Field(ge=1)] | None = None
    cluster: Name
    rights: Text
    lawful_basis: Text

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if (self.file is None) == (self.drawing is None):
            raise ValueError("an item is a file or a drawing")
        if (self.sexual_content == "yes") != (self.stimulus == "real"):
            raise ValueError("sexual content is the stimulus 'real', and nothing else is")
        canary = self.drawing is not None and self.drawing.canary is not None
        if canary != (self.stimulus == "canary"):
            raise ValueError("a drawing with a canary is the stimulus 'canary'")
        if self.must_cover and self.stimulus not in {"real", "stand_in"}:
            raise ValueError("must_cover goes with the stimulus 'real' or 'stand_in'")
        if self.stimulus == "stand_in" and not self.must_cover:
            raise ValueError("a stand-in says from when to when it must be covered")
        if "difference" in self.groups.values():
            raise ValueError("a group may not be called 'difference': figures are named so")
        for before, after in itertools.pairwise(self.must_cover):
            # One stretch said twice would count twice.
            if after.from_s < before.to_s:
                raise ValueError("spans of must_cover follow one another")
        return self

    @property
    def is_positive(self) -> bool:
        """Whether there is something in it that must be covered."""
        return self.stimulus != "none"

    @property
    def is_benign(self) -> bool:
        """Whether it is known that nothing in it must be covered."""
        return self.stimulus == "none" and self.sexual_content == "no"

    def spans(self) -> tuple[Span, ...]:
        """Return when it must be covered: all of a real positive that names no spans."""
        if self.drawing is not None and self.drawing.canary is not None:
            start = self.drawing.before_s
            return (Span(from_s=start, to_s=start + self.drawing.canary_s),)
        if self.stimulus == "real" and not self.must_cover:
            return (Span(from_s=0.0, to_s=1e9),)
        return self.must_cover


class Corpus(Part):
    """All of a corpus. ``purpose`` says what it was put together for."""

    schema_: Literal["safelight.corpus/1"] = Field(alias="schema")
    id: Name
    title: Text
    purpose: Literal["evaluation", "calibration", "test"]
    provenance: Text
    items: Annotated[tuple[Item, ...], Field(min_length=1)]

    @property
    def clusters(self) -> frozenset[str]:
        """The clusters of its items."""
        return frozenset(item.cluster for item in self.items)


def read(folder: Path) -> Corpus:
    """Read ``corpus.json`` of a folder (or the manifest file itself).

    Raises:
        UsageError: it is not there, or does not validate; it says which item and label.
    """
    path = folder / FILE if folder.is_dir() else folder
    try:
        content = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise UsageError(f"{path} cannot be read ({why})", "name a corpus") from None
    return parse(content, str(path))


def parse(content: str, name: str) -> Corpus:
    """Parse the text of a manifest; ``name`` is what errors call it.

    Raises:
        UsageError: it does not validate; it says which item and label.
    """
    try:
        return Corpus.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the manifest"
        what = "a missing label" if first["type"] == "missing" else first["msg"]
        more = f", and {error.error_count() - 1} more" if error.error_count() > 1 else ""
        raise UsageError(
            f"{name} does not validate: {where}: {what}{more}", "see spec/corpus.schema.json"
        ) from None
    except RecursionError:
        raise UsageError(f"{name} is nested too deeply", "see spec/corpus.schema.json") from None


def text(corpus: Corpus) -> str:
    """Return a manifest's text."""
    said = corpus.model_dump(mode="json", by_alias=True, exclude_defaults=False)
    return json.dumps(said, indent=2, ensure_ascii=False) + "\n"
