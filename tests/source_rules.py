"""What no source file may do: each rule a function from a module to its violations.

``test_architecture.py`` applies them to src/ and shows on bad snippets that each can fail.
They read the syntax tree, not the text: a comment cannot break a rule, nor satisfy one.
"""

from __future__ import annotations

import ast
from typing import Final

from tests.source import Module, Rule, calls, imports, words

MAX_LINES: Final = 400
# The vocabulary: declarations and no logic, read as one page. Nothing else may be as long.
LONGER: Final = {"safelight.types": 600}
UNSAFE_LOADERS: Final = words("pickle marshal shelve dill cloudpickle joblib")

# --- the two mints ---------------------------------------------------------------------------

MINTS: Final = {
    "RELEASE_MINT": ("SafeFrame", "safelight.core.release"),
    "TRUST_MINT": ("VerifiedBundle", "safelight.bundle.trust"),
}


def mints(module: Module) -> list[str]:
    """What may leave and what may judge are made in one place each (promises 1 and 6)."""
    if module.name == "safelight.types":
        return []
    found = []
    for key, (noun, home) in MINTS.items():
        if module.name == home:
            continue
        for node in ast.walk(module.tree):
            if (
                _names(node, key)
                or _is_alias(node, noun)
                or (isinstance(node, ast.Call) and _names(node.func, noun))
            ):
                line = getattr(node, "lineno", 0)
                found.append(f"{module.name}:{line}: {noun} is minted only in {home}")
    found += [
        f"{module.name}:{node.lineno}: __new__ makes things around their checks"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr == "__new__"
    ]
    return found


def _names(node: ast.AST, name: str) -> bool:
    """Whether this very node speaks of ``name``: read, imported, an attribute, or a string."""
    return (
        (isinstance(node, ast.Name) and node.id == name)
        or (isinstance(node, ast.Attribute) and node.attr == name)
        or (isinstance(node, ast.alias) and node.name == name)
        or (isinstance(node, ast.Constant) and node.value == name)
    )


def _is_alias(node: ast.AST, noun: str) -> bool:
    """Whether the node gives the noun another name, under which it could be made unseen."""
    if isinstance(node, ast.alias):
        return node.name == noun and node.asname not in {None, noun}
    return isinstance(node, ast.Assign) and _names(node.value, noun)


# --- absence is never permission -------------------------------------------------------------


def no_swallowing(module: Module) -> list[str]:
    """No assert, no bare except, no handler that does nothing, no suppression of everything."""
    found = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Assert):
            found.append(f"{module.name}:{node.lineno}: assert vanishes under -O: raise instead")
        elif isinstance(node, ast.ExceptHandler):
            if node.type is None:
                found.append(f"{module.name}:{node.lineno}: a bare except")
            if all(
                isinstance(s, ast.Pass)
                or (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))
                for s in node.body
            ):
                found.append(f"{module.name}:{node.lineno}: a handler that does nothing")
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).endswith("suppress")
            and {ast.unparse(arg) for arg in node.args} & {"Exception", "BaseException"}
        ):
            found.append(f"{module.name}:{node.lineno}: suppresses everything")
    return found


def no_dangerous_calls(module: Module) -> list[str]:
    """Nothing runs or loads code from data; nothing prints but the command line."""
    found = [
        f"{module.name}:{line}: {target} runs what it loads"
        for line, target in imports(module)
        if target.partition(".")[0] in UNSAFE_LOADERS
    ]
    for line, called in calls(module):
        if called in {"eval", "exec", "compile", "__import__"} or called.endswith("import_module"):
            found.append(f"{module.name}:{line}: {called}()")
        if called == "print" and not module.within("safelight.cli"):
            found.append(f"{module.name}:{line}: print() outside the command line")
    found += [
        f"{module.name}:{node.value.lineno}: allow_pickle"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and not _is_false(node)
    ]
    return found


def _is_false(node: ast.keyword) -> bool:
    return isinstance(node.value, ast.Constant) and node.value.value is False


def planes_stay_read_only(module: Module) -> list[str]:
    """Promise 4: a plane is made read-only when a Picture is made, and stays so."""
    found = []
    for node in ast.walk(module.tree):
        thaws = (
            isinstance(node, ast.Assign)
            and any(isinstance(t, ast.Attribute) and t.attr == "writeable" for t in node.targets)
            and not (isinstance(node.value, ast.Constant) and node.value.value is False)
        ) or (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "setflags"
        )
        if thaws:
            line = getattr(node, "lineno", 0)
            found.append(f"{module.name}:{line}: makes an array writeable again")
    return found


def one_thing_a_file(module: Module) -> list[str]:
    """A file over 400 lines does more than one thing."""
    lines, most = module.text.count("\n"), LONGER.get(module.name, MAX_LINES)
    if lines <= most:
        return []
    return [f"{module.name}: {lines} lines, more than {most}: does it do one thing?"]


ALL: Final[tuple[Rule, ...]] = (
    mints,
    no_swallowing,
    no_dangerous_calls,
    planes_stay_read_only,
    one_thing_a_file,
)
