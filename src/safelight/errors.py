"""Every error a caller can see, grouped by cause, each with what to do about it.

``str(error)`` is one line: what is wrong, then what to do. ``exit_status`` is what the
command line ends with (2 usage or cannot open, 3 not trusted to run, 4 lost later).
"""

from __future__ import annotations


class SafelightError(Exception):
    """Base of every error of ours. ``what`` is wrong; ``hint`` says what to do."""

    exit_status = 2

    def __init__(self, what: str, hint: str) -> None:
        self.what = what
        self.hint = hint
        super().__init__(f"{what}: {hint}")


# --- status 2: usage, or something that cannot be opened at the start ------------------------


class UsageError(SafelightError):
    """The call itself cannot be meant."""


class SourceError(SafelightError):
    """A source that cannot be opened, or holds no video that can be guarded."""


class SinkError(SafelightError):
    """A sink that cannot be opened."""


class PolicyError(SafelightError):
    """A policy that does not validate."""


# --- status 3: the guard could not be trusted to run, and released nothing --------------------


class UntrustedError(SafelightError):
    """Base: no start, because what judges could not be trusted."""

    exit_status = 3


class BundleError(UntrustedError):
    """A bundle that does not verify."""


class JudgeError(UntrustedError):
    """A judge that does not start, or gives wrong answers to its self-test."""


class IsolationError(UntrustedError):
    """A process that decodes what strangers send, and cannot be isolated."""


# --- status 4: lost later ------------------------------------------------------------------


class LostError(SafelightError):
    """Base: the stream ended because something broke after the start."""

    exit_status = 4


class SourceLostError(LostError):
    """The source broke off: unreadable data, a connection that did not come back."""


class SinkLostError(LostError):
    """The sink broke off: a full disk, a server that went away."""


class EngineFaultError(LostError):
    """The guard itself broke: a ring or engine fault."""


# --- programming errors --------------------------------------------------------------------


class NotMintedError(TypeError):
    """Someone built by hand what only one module may make."""

    def __init__(self, noun: str, mint: str) -> None:
        super().__init__(f"{noun} is minted only in {mint}")


class NotReleasableError(RuntimeError):
    """The mint was asked to release what no valid verdict covers."""


class EndOfStream(Exception):  # noqa: N818  (an end is not an error)
    """Raised by ``Source.read`` when the source ended as it should."""
