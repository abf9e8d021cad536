"""Lists of system calls that a process may make; any other ends it. By libseccomp."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyseccomp import Arg


@dataclass(frozen=True, slots=True)
class Is:
    """An argument (by its place, from 0) must have this value under this mask."""

    place: int
    value: int
    mask: int = 0xFFFFFFFF  # ints and options; the kernel ignores what is above

    def as_rule(self) -> Arg:
        """Return it as libseccomp takes it."""
        from pyseccomp import MASKED_EQ, Arg  # noqa: PLC0415  (absent outside Linux)

        return Arg(self.place, MASKED_EQ, self.mask, self.value)


Rules = dict[str, tuple[tuple[Is, ...], ...]]  # alternatives, each a set of conditions


def load(names: tuple[str, ...], rules: Rules) -> None:
    """Allow every thread of this process the calls of these names alone, for good.

    ``rules``: what the arguments of some of them must be. Filters add up: what one forbids
    stays forbidden.

    Raises:
        OSError, RuntimeError: the filter is not in force.
    """
    if (why := why_not()) is not None:
        raise RuntimeError(why)
    import pyseccomp  # noqa: PLC0415  (absent outside Linux)

    allowed = pyseccomp.SyscallFilter(pyseccomp.KILL_PROCESS)
    # Another machine's calls (32 bit on 64) are as dead as unlisted ones.
    allowed.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
    allowed.set_attr(pyseccomp.Attr.CTL_NNP, 1)
    allowed.set_attr(pyseccomp.Attr.CTL_TSYNC, 1)
    for name in names:
        number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
        if number < 0:  # this machine has no such call (poll, dup2, … on aarch64)
            continue
        for conditions in rules.get(name, ((),)):
            allowed.add_rule(pyseccomp.ALLOW, number, *(c.as_rule() for c in conditions))
    if "clone" in names:
        # Its flags are in memory, where no filter can look. "No such call" makes the C library
        # fall back to clone, whose flags are seen.
        allowed.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    allowed.load()


def why_not() -> str | None:
    """Say why filters cannot work here; None where they can."""
    try:
        import pyseccomp  # noqa: PLC0415  (absent outside Linux)
    except ImportError:
        return "the package pyseccomp is not installed"
    except (RuntimeError, OSError):
        return "the library libseccomp is not installed"
    arch = pyseccomp.Arch
    if pyseccomp.system_arch() not in {arch.X86_64, arch.AARCH64}:
        return "only x86_64 and aarch64 have a list of system calls"
    return None
