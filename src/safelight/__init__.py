"""Safelight: judges live video on the device before it is encoded and encrypted.

The public API. ``open`` guards a source and returns a running ``Session``; the rest are the
nouns that a host app meets. Everything else may change.

Nothing heavy is loaded before it is used, so that a program can be asked to stop, and does,
from its first moment on.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

# onnxruntime reports its use to its maker unless told not to before it is loaded: a thread, a
# data base in the user's cache folder, a log in the folder for temporary files (promise 5).
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from safelight.public import (
        Call,
        CallEvent,
        CardText,
        Direction,
        EventsSocket,
        Layer,
        Reason,
        Report,
        SafelightError,
        Session,
        SharedJudge,
        State,
        StreamEvent,
        __version__,
        bundles_folder,
        cool_down,
        default_folder,
        describe,
        gst_plugin_path,
        hide_this_process,
        isolation,
        open,
        policy_names,
        policy_sha256,
        policy_text,
        pull_bundle,
        redact,
        serve_call,
        shared_judge,
        source,
        source_isolation,
        stand_in_folder,
        state_folder,
        verify_bundle,
        verify_policy,
        who_signed,
    )
else:
    # Hidden from type checkers, which would take any name at all for one of ours.
    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from safelight import public  # noqa: PLC0415

        globals().update({offered: getattr(public, offered) for offered in __all__})
        return globals()[name]

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "Call",
    "CallEvent",
    "CardText",
    "Direction",
    "EventsSocket",
    "Layer",
    "Reason",
    "Report",
    "SafelightError",
    "Session",
    "SharedJudge",
    "State",
    "StreamEvent",
    "__version__",
    "bundles_folder",
    "cool_down",
    "default_folder",
    "describe",
    "gst_plugin_path",
    "hide_this_process",
    "isolation",
    "open",
    "policy_names",
    "policy_sha256",
    "policy_text",
    "pull_bundle",
    "redact",
    "serve_call",
    "shared_judge",
    "source",
    "source_isolation",
    "stand_in_folder",
    "state_folder",
    "verify_bundle",
    "verify_policy",
    "who_signed",
]
