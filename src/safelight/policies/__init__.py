"""The policies that come with Safelight, and where a policy named on a command line is."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

from safelight.core.policy import Policy
from safelight.errors import PolicyError
from safelight.policies import policy_file

DEFAULT = "protect"
MAX_BYTES = 64 * 1024


def names() -> tuple[str, ...]:
    """Return the names of the policies that come with Safelight."""
    files = resources.files(__package__).iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml")))


def text(name_or_path: str) -> str:
    """Return the TOML of a policy: one of ours by name, else a file.

    Raises:
        PolicyError: there is no such policy, or the file cannot be read.
    """
    if name_or_path in names():
        return _shipped(name_or_path)
    path = Path(name_or_path)
    hint = f"name one of {', '.join(names())}, or a policy file"
    try:
        if not path.is_file():
            raise PolicyError(f"there is no policy {name_or_path!r}", hint)
        with path.open("rb") as file:
            read = file.read(MAX_BYTES + 1)
        if len(read) > MAX_BYTES:
            raise PolicyError(f"policy {name_or_path} is over {MAX_BYTES // 1024} KiB", hint)
        return read.decode("utf-8")
    except (OSError, ValueError):
        raise PolicyError(f"policy {name_or_path} cannot be read as text", hint) from None


def load(name_or_path: str) -> Policy:
    """Return a validated policy, by name or from a file.

    Raises:
        PolicyError: it cannot be found, read or validated, or bears the name of one of ours
            and says something else.
    """
    return load_with_digest(name_or_path)[0]


def load_with_digest(name_or_path: str) -> tuple[Policy, str]:
    """Return a validated policy and the SHA-256 of the very bytes that it was read from.

    Raises:
        PolicyError: see ``load``.
    """
    written = text(name_or_path)
    policy = policy_file.parse(written, name_or_path)
    # Reports go by the name: another policy must not be taken for one of ours.
    if policy.name in names() and policy != policy_file.parse(_shipped(policy.name), policy.name):
        raise PolicyError(
            f"policy {name_or_path} calls itself {policy.name!r}, and is not that policy",
            "give it a name of its own",
        )
    return policy, hashlib.sha256(written.encode()).hexdigest()


def _shipped(name: str) -> str:
    # Not read_text: line ends must stay what they are.
    return resources.files(__package__).joinpath(f"{name}.toml").read_bytes().decode("utf-8")
