"""Copies of the shipped bundles that a test may damage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.bundle import signing

from safelight.bundle import trust

Edit = Callable[[dict[str, Any]], object]


def remade(source: Path, into: Path, edit: Edit) -> Path:
    """Copy a bundle folder, edit its manifest, and sign it again."""
    shutil.copytree(source, into)
    manifest = json.loads((into / trust.MANIFEST).read_text())
    edit(manifest)
    raw = json.dumps(manifest).encode()
    return signing.sign(into, raw)


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[Edit], Path]:
    """Make an edited copy of the stand-in bundle."""
    return lambda edit: remade(trust.stand_in_folder("face"), tmp_path / "bundle", edit)
