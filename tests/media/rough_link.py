"""A network that loses, delays and reorders, between two network namespaces of a test's own.

By ``tc netem`` where the kernel has it. Elsewhere a process carries what one namespace sends to
the other, packet by packet, between two TUN devices:
``python -m tests.media.rough_link HERE THERE`` until its standard input is closed; it prints one
line when it is ready, and what it did with how many packets as JSON.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from tests.source import ROOT

LOSS: Final = 0.03
DELAY_S: Final = 0.04
JITTER_S: Final = 0.015
_NETEM: Final = (
    "netem", "loss", f"{LOSS:.0%}",
    "delay", f"{DELAY_S * 1000:.0f}ms", f"{JITTER_S * 1000:.0f}ms",
)  # fmt: skip
_ADDRESSES: Final = ("10.77.0.1", "10.77.0.2")
_DEVICE: Final = "rough0"
_LONGEST: Final = 65_536
_WAITING: Final = 10_000  # packets under way; a link holds no more
_CLONE_NEWNET: Final = 0x40000000
_TUNSETIFF: Final = 0x400454CA
_TUN_WITHOUT_HEADER: Final = 0x1001


@dataclass
class Link:
    """Two namespaces, what is between them, and what it did (known at the end, of a relay)."""

    here: str
    there: str
    kind: str = ""
    did: dict[str, int] = field(default_factory=dict)

    def inside(self, name: str) -> list[str]:
        """Return what starts a program in one of them."""
        return ["ip", "netns", "exec", name]


class NoLinkError(Exception):
    """This machine makes no such network; why."""


@contextlib.contextmanager
def rough_link() -> Iterator[Link]:
    """Two namespaces and the network between them; gone afterwards.

    Raises NoLinkError.
    """
    if os.geteuid() != 0 or shutil.which("ip") is None:
        raise NoLinkError("network namespaces need root, and ip (iproute2)")
    link = Link(f"rough-{os.getpid()}-a", f"rough-{os.getpid()}-b")
    both = (link.here, link.there)
    with contextlib.ExitStack() as stack:
        for name in both:
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "del", name)
            _ip("-n", name, "link", "set", "lo", "up")
        if _by_netem(*both):
            link.kind = "netem"
        else:
            stack.enter_context(_relayed(link))
            link.kind = "relay"
        yield link


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoLinkError(f"ip {' '.join(words)}: {done.stderr.strip()}")


def _address(name: str, own: str, other: str) -> None:
    _ip("-n", name, "addr", "add", own, "peer", other, "dev", _DEVICE)
    _ip("-n", name, "link", "set", _DEVICE, "up")


def _by_netem(here: str, there: str) -> bool:
    """Join them by a cable that netem makes rough at both ends; False without netem."""
    if shutil.which("tc") is None:
        return False
    try:
        _ip("-n", here, "link", "add", _DEVICE, "type", "veth",
            "peer", "name", _DEVICE, "netns", there)  # fmt: skip
    except NoLinkError:
        return False
    for name in (here, there):
        command = ["tc", "-n", name, "qdisc", "add", "dev", _DEVICE, "root", *_NETEM]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            _ip("-n", here, "link", "del", _DEVICE)
            return False
    _address(here, *_ADDRESSES)
    _address(there, *reversed(_ADDRESSES))
    return True


@contextlib.contextmanager
def _relayed(link: Link) -> Iterator[None]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.media.rough_link", link.here, link.there],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            said = process.stdout.readline().strip()
            if said != "ready":
                raise NoLinkError(said or "the relay does not start")
            _address(link.here, *_ADDRESSES)
            _address(link.there, *reversed(_ADDRESSES))
            yield
            process.stdin.close()
            link.did = json.loads(process.stdout.readline())
        finally:
            process.kill()


# --- the relay ------------------------------------------------------------------------------------


@dataclass
class Did:
    """How many packets were carried, lost, and carried after one that was sent later."""

    carried: int = 0
    lost: int = 0
    overtaken: int = 0


def _tun(namespace: str) -> int:
    """Return a new TUN device in a namespace, which this process enters."""
    libc = ctypes.CDLL(None, use_errno=True)
    entered = os.open(Path("/run/netns") / namespace, os.O_RDONLY)
    try:
        if libc.setns(entered, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(entered)
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", _DEVICE.encode(), _TUN_WITHOUT_HEADER))
    return device


def carry(devices: tuple[int, int], enough: int) -> Did:
    """Carry packets between two devices until ``enough`` can be read."""
    did = Did()
    dice = random.Random(1)  # noqa: S311
    waiting: list[tuple[float, int, int, bytes]] = []
    sent = 0
    latest = dict.fromkeys(devices, 0)
    poll = select.poll()
    for one in (*devices, enough):
        poll.register(one, select.POLLIN)
    while True:
        until_s = waiting[0][0] - time.monotonic() if waiting else 1.0
        ready = {one for one, _ in poll.poll(max(0.0, until_s) * 1000)}
        if enough in ready:
            return did
        now_s = time.monotonic()
        for one in ready:
            packet = os.read(one, _LONGEST)
            if dice.random() < LOSS or len(waiting) >= _WAITING:
                did.lost += 1
                continue
            sent += 1
            due_s = now_s + DELAY_S + dice.uniform(-JITTER_S, JITTER_S)
            other = devices[1] if one == devices[0] else devices[0]
            heapq.heappush(waiting, (due_s, sent, other, packet))
        while waiting and waiting[0][0] <= now_s:
            _, number, other, packet = heapq.heappop(waiting)
            with contextlib.suppress(OSError):  # a device that is not up, or full: lost, too
                os.write(other, packet)
                did.carried += 1
                did.overtaken += number < latest[other]
                latest[other] = max(latest[other], number)


def main() -> None:
    try:
        devices = (_tun(sys.argv[1]), _tun(sys.argv[2]))
    except OSError as error:
        print(f"no TUN device in a namespace: {error}")  # noqa: T201
        return
    print("ready", flush=True)  # noqa: T201
    did = carry(devices, sys.stdin.fileno())
    print(json.dumps(asdict(did)))  # noqa: T201


if __name__ == "__main__":
    main()
