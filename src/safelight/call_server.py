"""``safelight call``: a local page, WHIP in, and out to a service by WHIP or a browser by WHEP."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from safelight.errors import SafelightError, SinkLostError, UsageError
from safelight.media import webrtc_peer, whip
from safelight.media.webrtc_extra import missing
from safelight.types import State

try:
    from aiohttp import web
except ImportError as error:
    raise missing() from error

if TYPE_CHECKING:
    from aiortc import MediaStreamTrack

    from safelight.call import Call, CallEvent
    from safelight.call_incoming import Incoming

LOOPBACK: Final = "127.0.0.1"
_LOOK_S: Final = 0.2
_SDP: Final = "application/sdp"
MOST_CONNECTIONS: Final = 64  # that wait; media goes over none of them
_SILENT: Final = logging.Logger("safelight.call", logging.CRITICAL + 1)


class CallServer:
    """One call's page and endpoints, below an address that holds a secret.

    ``told`` hears every event. ``to``: a service's WHIP address; ``token``: its bearer token.
    ``incoming``: who is seen from here; it is run with the page.
    """

    def __init__(
        self,
        call: Call,
        *,
        direction: str = "outgoing",
        to: str | None = None,
        token: str | None = None,
        incoming: Incoming | None = None,
        bind: str | None = None,
        port: int = 0,
        told: Callable[[CallEvent], None] = lambda _: None,
    ) -> None:
        """Raises UsageError: ``to`` is nothing that can be published at."""
        if to is not None:
            whip.check(to)
        self._call = call
        self._direction = direction
        self._to, self._token = to, token
        self._incoming = incoming
        self._host = bind or LOOPBACK
        self._port = port
        self._told = told
        self._secret = secrets.token_urlsafe(16)
        self._publisher: webrtc_peer.Peer | None = None
        self._fan: webrtc_peer.Fan | None = None
        self._viewers: dict[str, webrtc_peer.Peer] = {}
        self._count = 0
        self._forward: asyncio.Task[None] | None = None
        self._incoming_task: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Future[None]] = set()
        self._last: CallEvent | None = None
        self._resume_at_s = 0.0
        self._error: SafelightError | None = None

    @property
    def address(self) -> str:
        """The page's address; whoever has it may publish and watch."""
        return f"http://{self._shown_host}/{self._secret}/"

    @property
    def _shown_host(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self._port}"

    # --- running ----------------------------------------------------------------------------

    async def run(self, ready: Callable[[], None], stopping: Callable[[], bool]) -> None:
        """Serve until ``stopping`` says so, or the guard or the service breaks.

        Raises:
            UsageError: the port cannot be had.
            SafelightError: what broke.
        """
        app = web.Application(client_max_size=200_000, middlewares=[self._gatekeeper()])
        app.add_routes(
            [
                web.get("/{secret}/", self._page),
                web.get("/{secret}/state", self._state),
                web.post("/{secret}/resume", self._resume),
                web.post("/{secret}/whip", self._publish),
                web.post("/{secret}/whep", self._watch),
                web.post("/{secret}/incoming", self._watch_incoming),
                web.delete("/{secret}/{kind:whip|whep}/{name}", self._hang_up),
            ]
        )
        # Its own lines would hold who asked, and what: of anybody who finds the port.
        runner = web.AppRunner(app, access_log=None, logger=_SILENT)
        await runner.setup()
        listening = threading.Thread(target=self._listen, name="safelight-events", daemon=True)
        listening.start()
        try:
            await self._bind(runner)
            ready()
            if self._incoming is not None:
                self._incoming_task = asyncio.ensure_future(self._take_in(self._incoming))
            while not stopping() and self._error is None and self._call.error is None:
                await asyncio.sleep(_LOOK_S)
                _drop_the_oldest(runner)
        finally:
            self._call.close()
            await self._hang_up_all()
            await runner.cleanup()
            await asyncio.to_thread(self._call.ended, 10.0)
            await asyncio.to_thread(listening.join, 1.0)
        error = self._error or self._call.error
        if error is not None:
            raise error

    async def _bind(self, runner: web.AppRunner) -> None:
        try:
            site = web.TCPSite(runner, self._host, self._port)
            await site.start()
        except OSError as error:
            what = f"cannot listen at {self._shown_host}"
            raise UsageError(what, "name another port, or an address of this machine") from error
        self._port = int(runner.addresses[0][1])

    def _listen(self) -> None:
        for event in self._call.events():
            self._last = event
            self._resume_at_s = time.monotonic() + event.event.wait_s
            self._told(event)

    async def _take_in(self, incoming: Incoming) -> None:
        try:
            await incoming.run()
        except SafelightError as error:
            self._error = error

    async def _hang_up_all(self) -> None:
        tasks = [task for task in (self._forward, self._incoming_task) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        peers = [*self._viewers.values()]
        if self._publisher is not None:
            peers.append(self._publisher)
        await asyncio.gather(*(peer.close() for peer in peers), return_exceptions=True)

    # --- who may ask ------------------------------------------------------------------------

    def _gatekeeper(self) -> Callable[..., Awaitable[web.StreamResponse]]:
        @web.middleware
        async def check(
            request: web.Request,
            handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
        ) -> web.StreamResponse:
            # A page of somebody else's may have its name point to this machine: then its name
            # is in Host, and in Origin.
            host = request.headers.get("Host", "")
            origin = request.headers.get("Origin")
            if host not in self._names() or origin not in {None, f"http://{host}"}:
                raise web.HTTPForbidden(text="not from there\n")
            given = request.match_info.get("secret", "")
            if not secrets.compare_digest(given.encode(), self._secret.encode()):
                raise web.HTTPNotFound(text="there is nothing here\n")
            response = await handler(request)
            response.headers["Cache-Control"] = "no-store"
            response.headers["Referrer-Policy"] = "no-referrer"
            response.headers["X-Content-Type-Options"] = "nosniff"
            return response

        return check

    def _names(self) -> set[str]:
        names = {self._shown_host}
        if self._host in (LOOPBACK, "::1"):
            names.add(f"localhost:{self._port}")
        return names

    # --- the page -----------------------------------------------------------------------------

    async def _page(self, _request: web.Request) -> web.Response:
        nonce = secrets.token_urlsafe(16)
        text = (files("safelight") / "call_page.html").read_text(encoding="utf-8")
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
            "connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )
        return web.Response(
            text=text.replace("NONCE", nonce),
            content_type="text/html",
            headers={"Content-Security-Policy": policy},
        )

    async def _state(self, _request: web.Request) -> web.Response:
        last = None if self._last is None else self._last.event
        state = self._call.state
        card = None if last is None or state in (State.LIVE, State.PENDING) else last.card
        return web.json_response(
            {
                "publishing": self._publisher is not None,
                "watchable": self._fan is not None and "video" in self._fan.kinds,
                "incoming": self._incoming is not None and self._incoming.fan is not None,
                "state": state.value,
                "text": "" if last is None else last.text,
                "card": None if card is None else [card.headline, *card.lines],
                "stamp": None if card is None else card.stamp,
                "wait_s": max(0.0, round(self._resume_at_s - time.monotonic(), 1)),
                "service": self._to is not None,
            }
        )

    async def _resume(self, _request: web.Request) -> web.Response:
        self._call.resume()
        return web.Response(status=204)

    # --- WHIP and WHEP --------------------------------------------------------------------------

    async def _publish(self, request: web.Request) -> web.Response:
        offer = await _said(request)
        if self._publisher is not None:
            # A publisher that broke off and is back must not wait until it is missed.
            await self._publisher.close()
        self._count += 1
        name = f"camera-{self._count}"
        fan = webrtc_peer.Fan()

        def take(track: MediaStreamTrack) -> None:
            guarded = self._call.guarded(track, direction=self._direction, stream=name)
            fan.add(guarded)

        peer = webrtc_peer.Peer(self._publisher_left)
        self._publisher, self._fan = peer, fan
        try:
            answer = await peer.take_in(offer, take)
        except UsageError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from error
        if "video" not in fan.kinds:
            await peer.close()
            raise web.HTTPBadRequest(text="there is no picture, and nothing else can be judged\n")
        if self._to is not None:
            self._forward = asyncio.ensure_future(self._publish_on(self._to, fan))
        return self._created(answer, "whip", name)

    def _publisher_left(self) -> None:
        """What was watched has ended: hang up, so that whoever watched may ask again."""
        self._publisher = self._fan = None
        if self._forward is not None:
            self._forward.cancel()
        for viewer in list(self._viewers.values()):
            self._closing.add(task := asyncio.ensure_future(viewer.close()))
            task.add_done_callback(self._closing.discard)

    async def _publish_on(self, to: str, fan: webrtc_peer.Fan) -> None:
        """Publish what may leave to the service, as long as somebody publishes here."""
        lost = asyncio.Event()
        peer = webrtc_peer.Peer(lost.set)
        resource = None
        try:
            published = await whip.exchange(to, await peer.offer(fan.tracks()), self._token)
            resource = published.resource
            await peer.answered(published.answer)
            await lost.wait()
            self._error = SinkLostError("the service hung up", "see whether it is reachable")
        except SafelightError as error:
            self._error = error
        finally:
            await peer.close()
            if resource is not None:
                await whip.say_goodbye(resource, self._token)

    async def _watch(self, request: web.Request) -> web.Response:
        return await self._show(request, self._fan)

    async def _watch_incoming(self, request: web.Request) -> web.Response:
        return await self._show(request, None if self._incoming is None else self._incoming.fan)

    async def _show(self, request: web.Request, fan: webrtc_peer.Fan | None) -> web.Response:
        if fan is None or "video" not in fan.kinds:
            raise web.HTTPConflict(text="nobody publishes yet\n")
        offer = await _said(request)
        name = secrets.token_urlsafe(8)

        def gone() -> None:
            self._viewers.pop(name, None)

        peer = self._viewers[name] = webrtc_peer.Peer(gone)
        try:
            answer = await peer.give_out(offer, fan.tracks())
        except UsageError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from error
        return self._created(answer, "whep", name)

    def _created(self, answer: str, kind: str, name: str) -> web.Response:
        where = {"Location": f"/{self._secret}/{kind}/{name}"}
        return web.Response(status=201, text=answer, content_type=_SDP, headers=where)

    async def _hang_up(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        peer = self._viewers.get(name)
        if request.match_info["kind"] == "whip":
            peer = self._publisher if name == f"camera-{self._count}" else None
        if peer is None:
            raise web.HTTPNotFound(text="there is nothing here\n")
        await peer.close()
        return web.Response(status=204)


async def _said(request: web.Request) -> str:
    """Return what came with a request, as text."""
    try:
        return await request.text()
    except (web.HTTPException, OSError):
        raise  # too long, or whoever asked has gone
    except Exception as error:
        # aiohttp raises what its decoders do.
        raise web.HTTPBadRequest(text="this cannot be read\n") from error


def _drop_the_oldest(runner: web.AppRunner) -> None:
    """Let nobody who finds the port keep others out by holding connections open."""
    server = runner.server
    if server is not None:
        for connection in server.connections[:-MOST_CONNECTIONS]:
            connection.force_close()
