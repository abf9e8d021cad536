"""What one item came to, and where that is kept so that a run can go on after a break."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from safelight.evaluation.checking import Fault
from safelight.evaluation.figures import Part
from safelight.evaluation.guarding import Guarded, Spent
from safelight.evaluation.looking import Sample

FILE: Final = "progress.jsonl"


class ItemResult(Part):
    """One item. With a fault there is nothing else: half a result counts for none."""

    item: int
    guarded: Guarded | None = None
    spent: Spent | None = None
    samples: tuple[Sample, ...] | None = None
    fault: Fault | None = None


class Store:
    """Results as they come: in memory alone, or in a file of the output folder as well."""

    def __init__(self, folder: Path | None, protocol_sha256: str, files: str = "") -> None:
        """Read what an earlier run of the very same protocol, over the same files, left."""
        self._path = folder / FILE if folder is not None else None
        self._head = json.dumps({"protocol_sha256": protocol_sha256, "files": files})
        self._found: dict[int, ItemResult] = {}
        if self._path is None:
            return
        lines = self._path.read_text("utf-8").split("\n") if self._path.is_file() else []
        if lines and lines[0] == self._head:
            for line in lines[1:]:
                try:
                    result = ItemResult.model_validate_json(line)
                except ValidationError:
                    continue  # torn: the run broke while it was written, so it is done again
                self._found[result.item] = result
        whole = [self._head, *(r.model_dump_json() for _, r in sorted(self._found.items()))]
        self._path.write_text("\n".join(whole) + "\n", "utf-8")

    def has(self, item: int) -> bool:
        """Return whether an item is done."""
        return item in self._found

    def add(self, result: ItemResult) -> None:
        """Keep a result."""
        self._found[result.item] = result
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(result.model_dump_json() + "\n")

    def of(self, items: Iterable[int]) -> tuple[ItemResult, ...]:
        """Return the results of these items, in this order."""
        return tuple(self._found[item] for item in items)
