"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MEDIA = ROOT.parent / "shared" / "media"


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of test clips; they are never copied into the project."""
    if not MEDIA.is_dir():
        pytest.skip("test clips are absent: they are expected in ../shared/media")
    return MEDIA
