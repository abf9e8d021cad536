"""Every playbook of these tests has to be asserted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from safelight.testing.playbook import forgotten


@pytest.fixture(autouse=True)
def _no_playbook_is_forgotten() -> Iterator[None]:
    forgotten()
    yield
    assert not forgotten(), "a playbook was never asserted: write `assert playbook`"
