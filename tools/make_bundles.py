"""Draw the bundles' own self-test pictures and pin every file that the manifests name.

Usage: python tools/make_bundles.py

Everything is drawn, with no photograph and no chance in it. Run it after a manifest was
edited or a pinned file changed; it rewrites the pins, the signatures that no longer fit, and
the JSON Schema in spec/, and nothing else of a manifest. Look at what it changed before you
commit it: a pin that changes means that something else judges.

The stand-in is signed with the TEST keys, which everybody has. The default bundle is signed
under a *development root*: when its signatures no longer fit, this script makes new keys and a
new root in memory, signs, and forgets the keys. Nobody holds them, so nobody can sign another
bundle under that root, and whoever changes the default bundle changes the package's root too.
A key ceremony (docs/bundles.md) replaces it before a first release.
"""

from __future__ import annotations

import datetime
import hashlib
import importlib.util
import json
import re
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, Root

from safelight.bundle import manifest as form
from safelight.bundle import repository, trust
from safelight.errors import BundleError
from safelight.testing import test_root

ROOT = Path(__file__).resolve().parent.parent
DEFAULT = ROOT / "src" / "safelight" / "bundle" / "default"
FACE = ROOT / "src" / "safelight" / "testing" / "bundles" / "face"
ROOTS = ROOT / "src" / "safelight" / "bundle" / "roots"
DEVELOPMENT_DAYS = 730
Pixels = NDArray[np.uint8]


def draw_landscape() -> Pixels:
    """Draw hills, a sun and a house: uint8 RGB (360, 640, 3)."""
    rows, columns = np.mgrid[0:360, 0:640]
    picture = np.stack([110 + rows // 4, 160 + rows // 5, 235 - rows // 8], axis=-1)
    picture[(rows - 80) ** 2 + (columns - 520) ** 2 < 45**2] = (250, 215, 90)
    far = rows > 220 + 30 * np.sin(columns / 70.0)
    picture[far] = (96, 140, 96)
    near = rows > 270 + 22 * np.sin(columns / 45.0 + 2)
    picture[near] = (60, 104, 58)
    picture[205:300, 150:270] = (176, 96, 76)
    roof = (rows > 150) & (rows < 205) & (abs(columns - 210) < (rows - 150) * 1.4)
    picture[roof] = (92, 60, 52)
    picture[245:300, 196:224] = (74, 50, 40)
    for left in (164, 236):
        picture[225:247, left : left + 22] = (214, 226, 236)
    return picture.astype(np.uint8)


def draw_face() -> Pixels:
    """Draw a schematic face of plain ellipses: uint8 grey RGB (240, 320, 3)."""
    picture = np.full((240, 320), 60, dtype=np.uint8)
    for x, y, half_width, half_height, grey in (
        (0, -12, 72, 88, 50),  # hair
        (0, 0, 60, 78, 195),  # face
        (0, -62, 62, 26, 50),  # fringe
        *((x, -14, 17, 11, 135) for x in (-26, 26)),  # eye sockets
        *((x, -13, 13, 7, 235) for x in (-26, 26)),  # eyes
        *((x, -13, 6, 7, 30) for x in (-26, 26)),  # irises
        *((x, -30, 18, 5, 60) for x in (-26, 26)),  # brows
        (0, 8, 8, 24, 215),  # bridge of the nose
        *((x, 10, 5, 22, 160) for x in (-12, 12)),  # its sides
        (0, 30, 15, 7, 145),  # its tip
        *((x, 30, 4, 3, 60) for x in (-7, 7)),  # nostrils
        (0, 50, 24, 9, 110),  # lips
        (0, 49, 22, 2, 50),  # mouth
        (0, 64, 18, 4, 165),  # chin
    ):
        centre, axes = (160 + x, 120 + y), (half_width, half_height)
        cv2.ellipse(picture, centre, axes, 0, 0, 360, grey, -1, cv2.LINE_AA)
    soft = cv2.GaussianBlur(picture, (0, 0), 1.0).astype(np.uint8)
    return np.dstack([soft, soft, soft])


def draw_no_face() -> Pixels:
    """Draw the face's colours without the face, an empty oval: uint8 grey RGB (240, 320, 3)."""
    picture = np.full((240, 320), 60, dtype=np.uint8)
    cv2.ellipse(picture, (160, 120), (60, 78), 0, 0, 360, 195, -1, cv2.LINE_AA)
    soft = cv2.GaussianBlur(picture, (0, 0), 1.0).astype(np.uint8)
    return np.dstack([soft, soft, soft])


PICTURES = {
    DEFAULT / "landscape.png": draw_landscape,
    FACE / "face.png": draw_face,
    FACE / "no_face.png": draw_no_face,
}


def pin(folder: Path) -> None:
    """Write the digests and sizes of the files that a manifest names, and its checksum."""
    path = folder / trust.MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for file in manifest["files"].values():
        source = file["from"]
        if "package" in source:
            spec = importlib.util.find_spec(source["package"])
            if spec is None or not spec.submodule_search_locations:
                sys.exit(f"{source['package']} is not installed")
            where = Path(next(iter(spec.submodule_search_locations))) / source["path"]
        else:
            where = folder / source["file"]
        content = where.read_bytes()
        file["sha256"] = hashlib.sha256(content).hexdigest()
        file["bytes"] = len(content)
    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    # Lists of plain values on one line.
    text = re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)
    path.write_bytes((text + "\n").encode())


def make_root(
    purpose: str, kind: str, keys: dict[str, list[CryptoSigner]], expires: datetime.datetime
) -> Metadata[Root]:
    """Make the first root of these keys, signed by all who may."""
    public = {role: [signer.public_key for signer in keys[role]] for role in keys}
    online = public.pop("online")
    made = repository.make_root(
        1,
        purpose=purpose,
        kind=kind,
        offline=public,
        online=online,
        threshold=test_root.THRESHOLD,
        expires=expires,
    )
    for signer in keys["root"]:
        made.sign(signer, append=True)
    return made


def sign(folder: Path, signers: list[CryptoSigner], expires: datetime.datetime) -> None:
    """Sign a bundle where it lies, by all who may."""
    raw = (folder / trust.MANIFEST).read_bytes()
    manifest = trust.parse(raw)
    files = {path: (folder / path).read_bytes() for path in repository.paths(manifest)}
    made = repository.make_targets(
        manifest, {trust.MANIFEST: raw, **files}, version=manifest.version, expires=expires
    )
    for signer in signers:
        made.sign(signer, append=True)
    repository.write(folder / "metadata" / "targets.json", made)


def fits(folder: Path) -> bool:
    """Whether a bundle's signatures are those of what it holds."""
    try:
        trust.who_signed(folder)
        trust.verify(folder, allow_test=True, today=datetime.date.min)
    except BundleError:
        return False
    return True


def sign_stand_in() -> None:
    keys = {role: test_root.signers(role) for role in ("root", "targets", "online")}
    root = make_root("test", "test", keys, test_root.EXPIRES)
    repository.write(ROOTS / "test.root.json", root)
    sign(FACE, keys["targets"], test_root.EXPIRES)


def sign_default() -> None:
    if fits(DEFAULT):
        return
    roles = {"root": 3, "targets": 3, "online": 1}
    keys = {role: [CryptoSigner.generate_ed25519() for _ in range(n)] for role, n in roles.items()}
    expires = repository.after(DEVELOPMENT_DAYS)
    root = make_root(repository.PURPOSE, "development", keys, expires)
    repository.write(ROOTS / "project.root.json", root)
    sign(DEFAULT, keys["targets"], expires)
    print("a new development root was made; its private keys are gone")


def main() -> None:
    """Draw, pin, sign, and write the schema."""
    for path, draw in PICTURES.items():
        Image.fromarray(draw()).save(path, optimize=True)
    for folder in (DEFAULT, FACE):
        pin(folder)
    sign_stand_in()
    sign_default()
    schema = ROOT / "spec" / "bundle-manifest.schema.json"
    schema.write_text(form.schema_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
