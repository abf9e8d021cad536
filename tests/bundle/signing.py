"""Signs edited bundles with the TEST keys, whatever stands in them, as an attacker could."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from securesystemslib.signer import Signer

from safelight.bundle import repository, trust
from safelight.errors import BundleError
from safelight.testing import test_root


def sign(
    folder: Path,
    raw: bytes | None = None,
    *,
    about: dict[str, Any] | None = None,
    signers: Sequence[Signer] | None = None,
    version: int = 1,
) -> Path:
    """Write ``raw`` as a bundle's manifest, and sign it and the files beside it.

    ``about``: what the targets say of the bundle, in place of what the manifest says.
    """
    if raw is not None:
        (folder / trust.MANIFEST).write_bytes(raw)
    raw = (folder / trust.MANIFEST).read_bytes()
    files = {trust.MANIFEST: raw}
    found: object = None
    try:
        found = json.loads(raw)
        for path in repository.paths(trust.parse(raw)):
            if (folder / path).is_file():
                files[path] = (folder / path).read_bytes()
    except (ValueError, RecursionError, BundleError):
        pass  # no manifest at all, which can be signed as well
    said: dict[str, Any] = found if isinstance(found, dict) else {}
    made = repository.make_targets(about or said, files, version=version, expires=test_root.EXPIRES)
    for signer in signers if signers is not None else test_root.signers("targets"):
        made.sign(signer, append=True)
    repository.write(folder / "metadata" / "targets.json", made)
    return folder
