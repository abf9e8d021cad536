"""The checks on processes, calls and sockets: each turns what was seen into a row."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from safelight.audit.expected import (
    ANSWERED_BY_NO,
    FINDERS,
    JUDGE_CALLS,
    NAME_SERVICE,
    NAMES,
    REACHING_CALLS,
    SEALING_CALLS,
    SOURCE_CALLS,
)
from safelight.audit.facts import Facts
from safelight.audit.outcome import Row, row, row_but, unchecked
from safelight.audit.proc import Socket
from safelight.audit.tracing import Calls
from safelight.audit.watching import JUDGE, LOADER, Seen

_STATUS = {"Seccomp": "2", "NoNewPrivs": "1", "CapEff": "0" * 16}
# Looks at one socket: the first may come before it is in a table, or after it has left one.
_SETTLED = 5
_OWN_NAME = re.compile(r"python[0-9.]*|safelight[a-z-]*")
_MOST_NAMES = 3
_WORKER = "safelight.judge.worker"  # a word of a judge's command line
# By which word the command line of each is its own.
_WORDS = {
    "guard": "guard",
    "template": _WORKER,
    "judge": _WORKER,
    "loader": _WORKER,
    "source": "safelight.media.apart_process",
}
_NOTHING_LEFT = ("Max open files", "Max file size", "Max core file size")


def processes(facts: Facts) -> Row:
    """What runs: a guard, a template, its judges, and no program of anybody else."""
    names = Counter(facts.who(p.pid) for p in facts.processes)
    found = []
    if not facts.judges:
        found.append("no judge of its own process was seen")
    for pid, calls in (facts.calls or {}).items():
        for program in calls.programs:
            name = Path(program).name
            if name not in FINDERS and not name.startswith(("python", "safelight", "strace")):
                found.append(f"{facts.who(pid)} ran {program}")
    found += _told_by_name(facts)
    return row_but("processes", _listed(names), found, facts.unread(("execve", "execveat")))


def _told_by_name(facts: Facts) -> list[str]:
    """What a process tells everybody on the machine by its name, or by its command line."""
    found = []
    for seen in facts.processes:
        if strange := [name for name in seen.names if not _may_be_called(name)]:
            found.append(f"{facts.who(seen.pid)} was called {' '.join(strange[:3])}")
        for names in seen.threads.values():
            # Of the program it was started by, its own, and that of the program it became.
            if len(names) > _MOST_NAMES:
                found.append(f"a thread of {facts.who(seen.pid)} had {len(names)} names in turn")
        # Each program that it became has a line; whatever else changes it, writes over it.
        programs = (facts.calls or {}).get(seen.pid, Calls(seen.pid)).programs
        became = max(
            1, len(programs), len([name for name in seen.names if name not in {JUDGE, LOADER}])
        )
        if (lines := len(_own_lines(facts, seen))) > became:
            found.append(
                f"{facts.who(seen.pid)} wrote over its command line {lines - became} times"
            )
    return found


def _own_lines(facts: Facts, seen: Seen) -> list[tuple[str, ...]]:
    """Its command lines from its own on; before, it is the line of whoever started it."""
    word = _WORDS.get(facts.who(seen.pid))
    if word is None:
        return []  # a program on its way to becoming another, which is looked at by its name
    is_own = [word in line and not line[0].endswith("strace") for line in seen.lines]
    return seen.lines[is_own.index(True) :] if True in is_own else []


def _may_be_called(name: str) -> bool:
    return name in NAMES or _OWN_NAME.fullmatch(name) is not None


def sandbox(facts: Facts) -> Row:
    """The seal of each judge, as the kernel shows it."""
    if not facts.judges:
        return unchecked("judge sealed", "no judge was seen")
    found = []
    for judge in facts.judges:
        for name, wanted in _STATUS.items():
            is_so = judge.status.get(name, "?")
            if is_so != wanted:
                found.append(f"judge {judge.pid}: {name} is {is_so}, not {wanted}")
        for name in _NOTHING_LEFT:
            is_so = judge.limits.get(name, "?")
            if is_so != "0/0":
                found.append(f"judge {judge.pid}: {name} is {is_so}, not 0")
        above = facts.watch.processes.get(judge.parent)
        if above is not None and _filters(judge) <= _filters(above) >= 0:
            found.append(f"judge {judge.pid}: no filter of its own besides its template's")
    for one in (*facts.templates, *facts.loaders):
        if one.status.get("Seccomp") != "2":
            found.append(f"{facts.who(one.pid)} {one.pid}: no filter of system calls")
    seen = "Seccomp 2, NoNewPrivs 1, no capabilities; opens 0 files, writes 0, dumps 0"
    return row("judge sealed", f"{len(facts.judges)} judges; wanted: {seen}", found)


def source(facts: Facts) -> Row:
    """The seal of each process that decodes, as the kernel shows it, and its calls."""
    if not facts.sources:
        why = "this guard decodes in its own process: a device, copies, or --source-inside"
        return unchecked("source sealed", why)
    found = []
    waiting = [p for p in facts.sources if _waits(facts, p)]
    sealed = [p for p in facts.sources if p not in waiting]
    for seen in sealed:
        for name, wanted in _STATUS.items():
            is_so = seen.status.get(name, "?")
            if is_so != wanted:
                found.append(f"source {seen.pid}: {name} is {is_so}, not {wanted}")
        for name in ("Max file size", "Max core file size"):
            is_so = seen.limits.get(name, "?")
            if is_so != "0/0":
                found.append(f"source {seen.pid}: {name} is {is_so}, not 0")
        calls = (facts.calls or {}).get(seen.pid)
        if calls is None or not calls.filters:
            continue
        late = sorted(set(calls.last) - SOURCE_CALLS - ANSWERED_BY_NO)
        early = sorted(set(calls.counts) - SOURCE_CALLS - ANSWERED_BY_NO - REACHING_CALLS)
        if late or early:
            found.append(f"source {seen.pid} called {' '.join({*late, *early})}")
    made: Counter[str] = Counter()
    for seen in sealed:
        made += (facts.calls or {}).get(seen.pid, Calls(seen.pid)).last
    called = " ".join(sorted(made)) or "not traced"
    text = f"{len(sealed)} decode, {len(waiting)} wait; calls once sealed: {called}"
    if not sealed and not found:
        return unchecked("source sealed", "none had begun to decode")
    return row("source sealed", text, found)


def _waits(facts: Facts, seen: Seen) -> bool:
    """Whether it waits to be told what to open, or for a publisher: not sealed before that."""
    calls = (facts.calls or {}).get(seen.pid)
    if calls is None:
        reached = any(s.kind not in {"unix", "netlink"} and not s.listens for s in seen.sockets)
    else:
        # Without a connection nothing of a stranger's has come to it.
        reached = bool({"accept", "accept4", "recvfrom"} & {*calls.counts, *calls.before})
    return bool(facts.addresses) and not reached and not seen.sealed


def _filters(seen: Seen) -> int:
    """How many filters of calls a process is under; -1 where the kernel (before 5.9) is silent."""
    number = seen.status.get("Seccomp_filters", "")
    return int(number) if number.isdecimal() else -1


def namespaces(facts: Facts) -> Row:
    """Whether the judge has a network of its own. An extra: its calls deny it one anyway."""
    if not facts.judges:
        return unchecked("namespaces", "no judge was seen")
    apart = [j.namespaces.get("net") for j in facts.judges]
    home = facts.guard.namespaces.get("net")
    if None in apart or home is None:
        return unchecked("namespaces", "only root may see those of a process that hides")
    if home in apart:
        return unchecked("namespaces", "the judge shares its guard's network (an extra layer)")
    others = sorted(set(facts.judges[-1].namespaces) - {"net"})
    own = [n for n in others if facts.judges[-1].namespaces[n] != facts.guard.namespaces.get(n)]
    return row("namespaces", f"the judge has its own: net {' '.join(own)}".rstrip())


def system_calls(facts: Facts) -> Row:
    """The calls of sealed judges, by name, against the auditor's list."""
    if facts.calls is None:
        return unchecked("system calls", facts.why)
    if not facts.judges:
        return unchecked("system calls", "no judge was seen")
    found = []
    made: Counter[str] = judge_calls(facts)
    for judge in facts.judges:
        calls = facts.calls.get(judge.pid)
        if calls is None:
            return unchecked("system calls", "a judge was not traced")
        if not calls.filters:
            found.append(f"judge {judge.pid} set no filter of system calls")
        strange = sorted(set(calls.counts) - JUDGE_CALLS)
        if strange:
            found.append(f"judge {judge.pid} called {' '.join(strange)}")
        early = sorted(set(calls.before) - JUDGE_CALLS - SEALING_CALLS)
        if early:
            found.append(f"judge {judge.pid} called {' '.join(early)} before its filter")
    count = sum(made.values())
    return row("system calls", f"judge: {count} calls of {len(made)} kinds: {_listed(made)}", found)


def judge_calls(facts: Facts) -> Counter[str]:
    """Return what sealed judges called, by name."""
    made: Counter[str] = Counter()
    for judge in facts.judges:
        made += (facts.calls or {}).get(judge.pid, Calls(judge.pid)).counts
    return made


def sockets(facts: Facts) -> Row:
    """The sockets that were open at any look."""
    # It hides a moment after it has begun: what was seen until then is not what it does.
    if facts.guard.hidden * 2 > facts.guard.looks:
        return unchecked("sockets", "who looks may not see the guard's descriptors: be root")
    found = []
    for seen in facts.processes:
        for one in seen.sockets:
            if not _may_have(facts, seen, one):
                found.append(f"{facts.who(seen.pid)}: {one}")
        if seen in facts.judges and seen.unix_at_once > 1:
            found.append(f"judge {seen.pid} has {seen.unix_at_once} channels, not 1")
    unlisted = [p for p in facts.processes if max(p.unlisted.values(), default=0) >= _SETTLED]
    if unlisted and not found:
        whose = ", ".join(facts.who(p.pid) for p in unlisted)
        return unchecked("sockets", f"no table of the kernel's shows what a socket is: {whose}")
    text = f"{facts.watch.looks} looks; guard: {_met([facts.guard])}; judge: its one channel"
    if facts.sources:
        text += f"; source: {_met(facts.sources)}"
    return row("sockets", text, found)


def _met(several: list[Seen]) -> str:
    met = {str(s) for p in several for s in p.sockets if s.kind not in {"unix", "netlink"}}
    return ", ".join(sorted(met)) or "none"


def connections(facts: Facts) -> Row:
    """Every connect, bind and datagram, however short."""
    if facts.calls is None:
        return unchecked("connections", facts.why)
    found = []
    tried: Counter[str] = Counter()
    for pid, calls in facts.calls.items():
        for address in (*calls.connected, *calls.bound):
            tried[address] += calls.connected[address] + calls.bound[address]
            if not _may_reach(facts, pid, address):
                found.append(f"{facts.who(pid)} → {address}")
        judging = facts.who(pid) == "judge"
        if judging and calls.sockets:
            found.append(f"judge {pid} made a socket ({_listed(calls.sockets)})")
    text = f"connect and bind: {_listed(tried) or 'none'}"
    reaching = ("connect", "bind", "sendto", "sendmsg", "sendmmsg")
    return row_but("connections", text, found, facts.unread(reaching))


def _may_have(facts: Facts, seen: Seen, one: Socket) -> bool:
    if one.kind == "unix":
        return one.local == ""
    if seen in facts.judges or seen in facts.templates or seen in facts.loaders:
        return False
    if one.kind == "netlink":
        return True  # asks this kernel which addresses this machine has
    return bool(facts.addresses & {one.local, one.peer})


def _may_reach(facts: Facts, pid: int, address: str) -> bool:
    if address.startswith("unix "):
        return address[5:].strip('"') in NAME_SERVICE and facts.who(pid) != "judge"
    if facts.who(pid) in {"judge", "template", "loader"}:
        return False
    return address in facts.addresses or address.startswith("AF_NETLINK")


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
