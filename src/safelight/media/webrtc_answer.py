"""What a service says in an answer, put so that aiortc takes it, and only what was offered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from safelight.errors import UsageError
from safelight.media.webrtc_extra import missing

try:
    from aiortc.sdp import SessionDescription
except ImportError as error:
    raise missing() from error

if TYPE_CHECKING:
    from aiortc.sdp import MediaDescription

_REFUSED: Final = 0  # as a port (RFC 8843, section 7.3.3)
_NO_PORT: Final = 9
# What may be answered to an offer to send, or to receive, whatever is said (RFC 3264, section
# 6.1). Nothing said is "sendrecv".
_MAY: Final = {
    "sendonly": {"sendrecv": "recvonly", "recvonly": "recvonly"},
    "recvonly": {"sendrecv": "sendonly", "sendonly": "sendonly"},
}


def taken(answer: str, offer: str) -> str:
    """Return an answer in which nothing goes a way that was not offered, and what is refused is
    inactive instead.

    aiortc believes a service that wants to send where it was only offered to receive: it would
    decode whatever comes, for nobody, and keep all of it. A service without sound refuses that
    part of an offer, and then says nothing more of it; aiortc 1.16 takes no part without keys
    and codecs. They are those of the part that is taken.

    Raises:
        UsageError: the picture is refused.
        Exception: whatever aiortc's parser raises; it is no answer.
    """
    said, asked = SessionDescription.parse(answer), SessionDescription.parse(offer)
    offered = {part.rtp.muxId: part for part in asked.media}
    refused = [part for part in said.media if part.port == _REFUSED]
    changed = [part for part in said.media if _hold_to_offer(part, offered)]
    if not refused and not changed:
        return answer
    live = [part for part in said.media if part.port != _REFUSED]
    if not any(part.kind == "video" for part in live):
        raise UsageError("the service takes no picture", "see what it accepts")
    for part in refused:
        _make_inactive(part, live[0], offered[part.rtp.muxId])
    for group in said.group:
        if group.semantic == "BUNDLE":
            group.items += [part.rtp.muxId for part in refused]
    for part in said.media:
        # Only beside this line does aiortc write that both share a port.
        part.rtcp_port = part.rtcp_port or _NO_PORT
    return str(said)


def _make_inactive(
    part: MediaDescription, live: MediaDescription, offered: MediaDescription
) -> None:
    part.port, part.direction = live.port, "inactive"
    part.fmt, part.rtp.codecs = offered.fmt, offered.rtp.codecs
    part.ice, part.dtls, part.rtcp_mux = live.ice, live.dtls, True
    part.ice_candidates, part.ice_candidates_complete = [], True


def _hold_to_offer(part: MediaDescription, offered: dict[str, MediaDescription]) -> bool:
    """Let a part go no way that was not offered; return whether that changed it."""
    asked, said = offered[part.rtp.muxId].direction or "sendrecv", part.direction or "sendrecv"
    if asked in _MAY:
        part.direction = _MAY[asked].get(said, "inactive")
    return bool(part.direction != said)
