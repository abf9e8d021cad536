"""Publishes to a service by WHIP (RFC 9725), and watches at one by WHEP. HTTP once, then media."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

from safelight.errors import SinkError, UsageError
from safelight.media.redaction import shown_as
from safelight.media.webrtc_extra import missing

try:
    import aiohttp
except ImportError as error:
    raise missing() from error

_ANSWER_S: Final = 10.0
_MOST_ANSWER: Final = 100_000
_HERE: Final = frozenset({"127.0.0.1", "::1", "localhost"})


# What services answer to WHEP while nobody publishes.
_NOBODY_YET: Final = frozenset({404, 409})


class NobodyYetError(SinkError):
    """There is nothing at this address, or not yet."""


def check(address: str) -> None:
    """Refuse an address at which nothing can be published or watched safely.

    Raises:
        UsageError: it is no https address, nor http on this machine.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if not host or parts.scheme not in ("http", "https"):
        raise UsageError(f"{shown_as(address)} is no WHIP address", "give an https:// address")
    if parts.scheme == "http" and host not in _HERE:
        # The offer holds the fingerprint that the encryption rests on, and the token.
        raise UsageError(f"{shown_as(address)} is not encrypted", "give an https:// address")
    if parts.username or parts.password:
        raise UsageError(f"{shown_as(address)} holds a password", "give a token instead")


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What a service answered: its SDP, and where to say goodbye, if anywhere."""

    answer: str
    resource: str | None


async def exchange(address: str, offer: str, token: str | None) -> Exchanged:
    """Send the offer, return the answer. No address and no token is in any error.

    Raises:
        NobodyYetError: nobody publishes there, or it is no such address.
        SinkError: the service cannot be reached, or does not take it.
    """
    shown = shown_as(address)
    headers = {"Content-Type": "application/sdp", **_bearer(token)}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ANSWER_S)) as session,
            # A redirect would take the token to wherever it points.
            session.post(address, data=offer, headers=headers, allow_redirects=False) as response,
        ):
            body = await response.content.read(_MOST_ANSWER)
            if response.status in (401, 403):
                raise SinkError(f"{shown} does not let us in", "check the address and token")
            if response.status in _NOBODY_YET:
                raise NobodyYetError(f"{shown} answers {response.status}", "check the address")
            if response.status not in (200, 201):
                raise SinkError(f"{shown} answers {response.status}", "check the address")
            resource = response.headers.get("Location")
            where = None if resource is None else urljoin(address, resource)
            return Exchanged(body.decode("utf-8"), where if _same_place(address, where) else None)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise SinkError(f"{shown} cannot be reached", "check the address") from error


async def say_goodbye(resource: str, token: str | None) -> None:
    """Tell the service that it is over. Whether it hears is no matter."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2.0)) as session,
            session.delete(resource, headers=_bearer(token), allow_redirects=False),
        ):
            return
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return  # it will notice by itself


def _bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def _same_place(address: str, resource: str | None) -> bool:
    """Whether the token may go there too."""
    if resource is None:
        return False
    one, other = urlsplit(address), urlsplit(resource)
    return (one.scheme, one.netloc) == (other.scheme, other.netloc)
