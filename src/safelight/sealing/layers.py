"""The layers of a sandbox: what each is called, whether it is required, whether it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

NO_NEW_PRIVILEGES: Final = "no_new_privileges"  # no program that it starts gains rights
NOT_TRACEABLE: Final = "not_traceable"  # no other process of the user reads its memory
NO_CORE_DUMPS: Final = "no_core_dumps"  # its memory is not written to disk when it crashes
LIMITS: Final = "limits"  # memory, files, descriptors
SYSTEM_CALLS: Final = "system_calls"  # an allow-list; anything else kills
NETWORK_NAMESPACE: Final = "network_namespace"  # a network with nothing in it
FILE_SYSTEM: Final = "file_system"  # Landlock: no file, no TCP
NO_CAPABILITIES: Final = "no_capabilities"  # root's powers given up

# Required on Linux: without one of these no stream is judged. The others are extra, because
# systems in wide use refuse them; what they deny, the list of system calls denies too.
REQUIRED: Final = (NO_NEW_PRIVILEGES, NOT_TRACEABLE, NO_CORE_DUMPS, LIMITS, SYSTEM_CALLS)
EXTRA: Final = (NETWORK_NAMESPACE, FILE_SYSTEM, NO_CAPABILITIES)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer. ``why`` says what stood in its way; empty when it holds."""

    name: str
    required: bool
    held: bool
    why: str


def attempt(name: str, apply: Callable[[], str | None]) -> Layer:
    """Apply a layer: it holds if ``apply`` returns None, and not if it says why or fails."""
    try:
        why = apply()
    except (OSError, ValueError, RuntimeError, ImportError, AttributeError) as error:
        why = str(error) or type(error).__name__
    return Layer(name, name in REQUIRED, why is None, why or "")


def missing(layers: Iterable[Layer]) -> list[str]:
    """Return the required layers that do not hold, or of which nothing is said."""
    seen = list(layers)
    held = {layer.name for layer in seen if layer.held}
    failed = {layer.name for layer in seen if not layer.held}
    return [name for name in REQUIRED if name not in held or name in failed]


def enough(layers: Iterable[Layer]) -> bool:
    """Whether every required layer holds."""
    return not missing(layers)
