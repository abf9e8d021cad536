"""The auditor's own copies agree with what they are copies of; its reading of a trace is right."""

from __future__ import annotations

import re
from pathlib import Path

from tests.source import ROOT

from safelight.audit import expected, facts, tracing
from safelight.audit.outcome import counted, row, row_but, unchecked
from safelight.judge.system_calls import JUDGE_CALLS, TEMPLATE_CALLS
from safelight.media import apart_seal


def test_the_list_of_calls_is_the_judges_and_the_documents() -> None:
    assert frozenset(JUDGE_CALLS) == expected.JUDGE_CALLS
    section = (ROOT / "docs/sandbox.md").read_text("utf-8").split("## System calls of a judge")[1]
    assert set(re.findall(r"^\| `(\w+)` \|", section.split("\n## ")[0], re.M)) == set(JUDGE_CALLS)


def test_what_comes_before_the_seal_is_what_a_template_is_left_with() -> None:
    assert frozenset(TEMPLATE_CALLS) == expected.SEALING_CALLS


def test_what_decodes_may_call_what_it_is_left_with() -> None:
    every = {name for kind in apart_seal.FILTERS for name in apart_seal.calls(kind)}
    assert every == expected.SOURCE_CALLS
    assert frozenset(apart_seal.REACH_CALLS) == expected.REACHING_CALLS


TRACE = """\
10 execve("/usr/bin/python3", [...], 0x1 /* 2 vars */) = 0
11 openat(AT_FDCWD</w>, ""..., O_RDONLY) = 3</w/x>
10 clone3({flags=CLONE_VM|CLONE_THREAD, exit_signal=0} => {parent_tid=[11]}, 88) = 11
11 openat(AT_FDCWD</w>, "dump.bin", O_WRONLY|O_CREAT <unfinished ...>
10 connect(4<socket:[5]>, {sa_family=AF_INET, sin_port=htons(80), \
sin_addr=inet_addr("192.0.2.1")}, 16) = -1 EINPROGRESS (Operation now in progress)
11 <... openat resumed>, 0666) = 5</w/dump.bin>
12 seccomp(SECCOMP_SET_MODE_FILTER, 0x1, NULL) = -1 EFAULT (Bad address)
12 getpid() = 12
12 seccomp(SECCOMP_SET_MODE_FILTER, 0x1, {len=9, filter=0x1}) = 0
12 read(3<socket:[7]>, ""..., 41) = 40
12 --- SIGSEGV {si_signo=SIGSEGV} ---
12 +++ killed by SIGSEGV (core dumped) +++
"""


def test_a_trace_is_read_thread_by_thread_for_its_process(tmp_path: Path) -> None:
    log = tmp_path / "trace"
    log.write_text(TRACE)
    found = tracing.read(log, "/w")
    assert set(found) == {10, 12}
    assert found[10].written == {"/w/dump.bin": "openat"}
    assert dict(found[10].connected) == {"192.0.2.1:80": 1}
    assert found[10].programs == ["/usr/bin/python3"]
    assert dict(found[12].counts) == {"read": 1}
    assert (found[12].filters, found[12].dumped) == (1, True)


HIDDEN = """\
20 openat(AT_FDCWD</w>, 0x7ffd1, O_WRONLY|O_CREAT, 0666) = 5
20 openat(AT_FDCWD</w>, 0x7ffd1, O_RDONLY) = 5
20 rename(0x7ffd1, 0x7ffd2) = 0
20 connect(4<socket:[5]>, 0x7ffd3, 16) = 0
20 bind(4, 0x7ffd3, 16) = 0
20 sendto(4, 0x7ffd4, 12, 0, 0x7ffd3, 16) = 12
20 sendto(4, 0x7ffd4, 12, 0, NULL, 0) = 12
20 sendmsg(4, 0x7ffd5, 0) = 3
20 execve(0x7ffd6, 0x7ffd7, 0x7ffd8) = 0
"""


def test_a_call_that_leads_where_we_cannot_see_is_counted_and_not_clean(tmp_path: Path) -> None:
    log = tmp_path / "trace"
    log.write_text(HIDDEN)
    found = tracing.read(log, "/w")[20]
    assert +found.unread == {
        "openat": 1,
        "rename": 1,
        "connect": 1,
        "bind": 1,
        "sendto": 1,
        "sendmsg": 1,
        "execve": 1,
    }
    assert row_but("a", "x", [], found.unread).verdict == "not checked"
    assert row_but("a", "x", ["bad"], found.unread).verdict == "red"
    assert row_but("a", "x", [], {"openat": 0}).verdict == "clean"


def test_what_was_not_checked_is_not_clean() -> None:
    counts = counted((row("a", "x"), row("b", "x", ["bad"]), unchecked("c", "no root")))
    assert (counts.clean, counts.red, counts.not_checked) == (1, 1, 1)


def test_addresses_are_those_that_are_named() -> None:
    found = facts.addresses_of(["guard", "rtmp://192.0.2.7/app/key", "null:", "out.mp4"])
    assert found == {"192.0.2.7:1935"}
