"""What ``safelight`` offers, loaded when the first of it is asked for: see ``__init__``."""

from __future__ import annotations

from importlib.metadata import version

from safelight.bundle.trust import default_folder, describe, stand_in_folder, who_signed
from safelight.call import Call, CallEvent, serve_call
from safelight.cooldown import default_folder as state_folder
from safelight.errors import SafelightError
from safelight.events import StreamEvent
from safelight.events_socket import EventsSocket
from safelight.judge.sandbox import probe as isolation
from safelight.judge.shared import SharedJudge
from safelight.judging import shared_judge, verify_bundle
from safelight.media.address import redact
from safelight.media.apart import probe as source_isolation
from safelight.media.gst_path import gst_plugin_path
from safelight.opening import (
    bundles_folder,
    cool_down,
    open,
    policy_sha256,
    pull_bundle,
    source,
    verify_policy,
)
from safelight.policies import names as policy_names
from safelight.policies import text as policy_text
from safelight.report import Report
from safelight.sealing.layers import Layer
from safelight.sealing.own_memory import hide_this_process
from safelight.session import Session
from safelight.types import CardText, Direction, Reason, State

__version__ = version("safelight")

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
