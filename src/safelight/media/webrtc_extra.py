"""What is said where the libraries for video calls are not installed."""

from __future__ import annotations

from safelight.errors import UsageError


def missing() -> UsageError:
    """Return the error to raise."""
    return UsageError(
        "video calls need libraries that are not installed", "pip install 'safelight[webrtc]'"
    )
