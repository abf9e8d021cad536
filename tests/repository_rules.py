"""Rules that hold for every file of the project, whatever it is written in."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.source import ROOT, words

# Only drawings and canaries of our own, each made by a committed script (red lines 3 and 4).
MEDIA_ALLOWED: Final = re.compile(
    r"src/safelight/testing/canaries/[^/]+\.png"
    r"|src/safelight/bundle/default/[^/]+\.png"
    r"|src/safelight/testing/bundles/.+\.png"
    r"|docs/images/[^/]+\.png"
)
MEDIA_SUFFIXES: Final = words(
    """.png .jpg .jpeg .gif .webp .bmp .tif .tiff .avif .heic .svgz .mp4 .mkv .webm .mov .avi .flv
    .ts .m4v .y4m .yuv .h264 .wav .mp3 .aac .ogg .opus .flac .onnx .tflite .pt .pth .safetensors
    .dat .npz .npy .zip .gz .tar .whl"""
)

# Written with a class of one letter each, so that this file does not break its own rule.
MACHINE: Final = re.compile(
    r"/wo[r]k/|/far[m]/|/roo[t]/|bash_[j]obs|/op[t]/(pypi|wheels)|\.claud[e]\b"
    r"|pypi\.or[g]|pythonhoste[d]|npmjs\.(or[g]|com)|--(extra-)?index-ur[l]|--find-link[s]"
    r"|\"resolved\": *\"htt[p]",
    re.IGNORECASE,
)

# Red line 9. docs/red-lines.md quotes the words that it forbids, so it is not searched.
FORBIDDEN_WORDS: Final = re.compile(
    r"\b(child|kiddie|kid|kiddy)\s+porn\w*|\bperformers?\b|\bcustomers?\b",
    re.IGNORECASE,
)
# Red line 8: what a model says is an estimate and a score, never a finding about a person.
FORBIDDEN_CLAIMS: Final = re.compile(
    r"\b(is|was|are)\s+(CSAM|underage|category\s+[ABC])\b"
    r"|\b(person|user|face|subject)\s+is\s+a\s+(child|minor|paedophile|pedophile)\b",
    re.IGNORECASE,
)
QUOTES_THE_RULES: Final = frozenset({"docs/red-lines.md", "tests/repository_rules.py"})


def files() -> Iterator[Path]:
    """Every file that is committed or could be, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        names = [Path(name) for name in listed.stdout.decode().split("\0") if name]
    else:  # an unpacked archive: no git, and no caches of ours worth telling apart
        names = [
            path.relative_to(ROOT)
            for path in ROOT.rglob("*")
            if not any(
                part.startswith(".") or part in {"build", "dist", "__pycache__"}
                for part in path.relative_to(ROOT).parts
            )
        ]
    yield from (name for name in sorted(names) if (ROOT / name).is_file())


def text_of(name: Path) -> str | None:
    """The text of a file, None for a binary one."""
    data = (ROOT / name).read_bytes()
    if b"\0" in data[:8192]:
        return None
    return data.decode("utf-8", errors="replace")


def unknown_media(name: str, *, binary: bool) -> bool:
    """Whether the file is a picture, clip, model or other binary that has no business here."""
    looks_like_it = binary or Path(name).suffix.lower() in MEDIA_SUFFIXES
    return looks_like_it and MEDIA_ALLOWED.fullmatch(name) is None


def machine_names(text: str) -> list[str]:
    """What names a machine's paths or a package host."""
    return [f"{line}: {match}" for line, match in _search(MACHINE, text)]


def forbidden_words(text: str) -> list[str]:
    """What red lines 8 and 9 forbid to be said."""
    found = [*_search(FORBIDDEN_WORDS, text), *_search(FORBIDDEN_CLAIMS, text)]
    return [f"{line}: {match}" for line, match in found]


def _search(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, str]]:
    for match in pattern.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match.group(0)
