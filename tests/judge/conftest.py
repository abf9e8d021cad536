"""What tests of judges have in common."""

from __future__ import annotations

import datetime

import pytest

from safelight.bundle import trust
from safelight.types import VerifiedBundle


@pytest.fixture(scope="module")
def bundle() -> VerifiedBundle:
    """The stand-in bundle that finds faces."""
    folder = trust.stand_in_folder("face")
    return trust.verify(folder, allow_test=True, today=datetime.date(2026, 11, 22))
