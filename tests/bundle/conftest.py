"""Copies of the shipped bundles that a test may damage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from safelight.bundle import trust

Edit = Callable[[dict[str, Any]], object]


def remade(source: Path, into: Path, edit: Edit) -> Path:
    """Copy a bundle folder, edit its manifest, and make its checksum fit again."""
    shutil.copytree(source, into)
    manifest = json.loads((into / trust.MANIFEST).read_text())
    edit(manifest)
    raw = json.dumps(manifest).encode()
    (into / trust.MANIFEST).write_bytes(raw)
    (into / trust.CHECKSUM).write_bytes(trust.checksum_bytes(raw))
    return into


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[Edit], Path]:
    """Make an edited copy of the stand-in bundle."""
    return lambda edit: remade(trust.stand_in_folder("face"), tmp_path / "bundle", edit)
