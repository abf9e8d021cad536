"""What comes in at ``safelight call``: another's camera, from a service by WHEP, guarded here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from safelight.errors import SourceError
from safelight.media import webrtc_peer, whip

if TYPE_CHECKING:
    from aiortc import MediaStreamTrack

    from safelight.call import Call

_AGAIN_S: Final = 1.0


class Incoming:
    """Watches at a service, and guards what comes as the call's other direction.

    Whoever is to be seen may come later than this, leave, and be back: then it asks again.
    """

    def __init__(self, call: Call, address: str, token: str | None) -> None:
        """Raises UsageError: nothing can be watched at ``address`` safely."""
        whip.check(address)
        self._call = call
        self._address, self._token = address, token
        self._count = 0
        # Offered from the first picture that was asked for until the service hangs up.
        self.fan: webrtc_peer.Fan | None = None

    async def run(self) -> None:
        """Watch until it is cancelled.

        Raises:
            SafelightError: the service refuses, or answers nonsense.
        """
        while True:
            try:
                await self._watch_once()
            except whip.NobodyYetError:
                self.fan = None
            await asyncio.sleep(_AGAIN_S)

    async def _watch_once(self) -> None:
        lost = asyncio.Event()
        peer = webrtc_peer.Peer(lost.set)
        fan = webrtc_peer.Fan()
        self._count += 1
        name = f"remote-{self._count}"

        def take(track: MediaStreamTrack) -> None:
            fan.add(self._call.guarded(track, direction="incoming", stream=name))

        resource = None
        try:
            offer = await peer.ask(take)
            answered = await whip.exchange(self._address, offer, self._token)
            resource = answered.resource
            await peer.answered(answered.answer)
            if "video" not in fan.kinds:
                raise SourceError("the service has no picture to watch", "check the address")
            self.fan = fan
            await lost.wait()
        finally:
            self.fan = None
            await peer.close()
            if resource is not None:
                await whip.say_goodbye(resource, self._token)
