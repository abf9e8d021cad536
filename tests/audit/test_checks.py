"""What would let a violator pass for clean: each was tried, and is seen."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest

from safelight.audit import checks, leavings, mark, search, tracing
from safelight.audit.facts import Facts
from safelight.audit.places import Changed, Looked
from safelight.audit.tracing import Calls
from safelight.audit.watching import JUDGE, SOURCE, Seen, Watch
from safelight.testing import canary, scenes
from safelight.testing.film import Film

GUARD, TEMPLATE, WORKER, SOURCE_PID = 10, 11, 12, 13
SEALED = {"Max open files": "0/0", "Max file size": "0/0", "Max core file size": "0/0"}


def process(pid: int, parent: int, name: str, filters: int) -> Seen:
    seen = Seen(pid, parent, [name], looks=20)
    seen.status = {
        "Name": name,
        "Uid": f"{os.getuid()} 0 0 0",
        "Seccomp": "2" if filters else "0",
        "Seccomp_filters": str(filters),
        "NoNewPrivs": "1",
        "CapEff": "0" * 16,
    }
    seen.limits = dict(SEALED)
    return seen


def facts(**more: object) -> Facts:
    """A guard with a template and a judge, of which nothing bad is known."""
    watch = Watch(os.getpid())
    watch.processes = {
        GUARD: process(GUARD, 1, "python", 0),
        TEMPLATE: process(TEMPLATE, GUARD, JUDGE, 1),
        WORKER: process(WORKER, TEMPLATE, JUDGE, 2),
    }
    made: dict[str, object] = {
        "watch": watch,
        "guard": watch.processes[GUARD],
        "addresses": frozenset(),
        "named": {},
        "looked": Looked([], [], [], cut_off=False),
        **more,
    }
    return Facts(**made)  # type: ignore[arg-type]


def traced(tmp_path: Path, lines: str, pid: int = WORKER) -> dict[int, Calls]:
    log = tmp_path / "trace"
    log.write_text("".join(f"{pid} {line}\n" for line in lines.splitlines()))
    return tracing.read(log, "/w")


FILTER = "seccomp(SECCOMP_SET_MODE_FILTER, 0x1, {len=9, filter=0x1}) = 0"


def test_a_judge_that_does_what_it_may_is_clean(tmp_path: Path) -> None:
    calls = traced(
        tmp_path, f"prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) = 0\n{FILTER}\nread(3, 0x1, 41) = 40"
    )
    found = facts(calls=calls)
    assert checks.system_calls(found).verdict == "clean"
    assert checks.sandbox(found).verdict == "clean"
    assert checks.sockets(found).verdict == "clean"


def test_a_further_filter_does_not_wipe_out_what_was_called_before_it(tmp_path: Path) -> None:
    calls = traced(
        tmp_path, f"{FILTER}\npwrite64(3, 0x1, 9, 0) = 9\n{FILTER}\nread(3, 0x1, 41) = 40"
    )
    row = checks.system_calls(facts(calls=calls))
    assert "pwrite64" in "".join(row.found)


def test_what_a_judge_calls_before_its_filter_is_looked_at_too(tmp_path: Path) -> None:
    calls = traced(tmp_path, f"read(3, 0x1, 41) = 40\npwrite64(4, 0x1, 9, 0) = 9\n{FILTER}")
    row = checks.system_calls(facts(calls=calls))
    assert "pwrite64" in "".join(row.found)


def test_a_judge_under_its_templates_filter_alone_is_not_sealed() -> None:
    found = facts()
    found.watch.processes[WORKER].status["Seccomp_filters"] = "1"
    assert checks.sandbox(found).verdict == "red"


def source_facts(tmp_path: Path, lines: str, **more: object) -> Facts:
    """The same, with a process that decodes, and what it called."""
    found = facts(calls=traced(tmp_path, lines, SOURCE_PID), **more)
    seen = found.watch.processes[SOURCE_PID] = process(SOURCE_PID, GUARD, SOURCE, 2)
    seen.limits = {**SEALED, "Max open files": "3/3"}
    return found


SHUT = f"getpid() = 13\n{FILTER}\naccept(3, 0x1, 0x2) = 4\n{FILTER}\n"


def test_a_source_that_does_what_it_may_is_clean(tmp_path: Path) -> None:
    found = source_facts(tmp_path, f"{SHUT}recvfrom(4, 0x1, 9, 0, NULL, NULL) = 9")
    assert checks.source(found).verdict == "clean"
    assert found.who(SOURCE_PID) == "source"


@pytest.mark.parametrize(
    "call", ["openat(AT_FDCWD</w>, 0x1, O_RDONLY) = 5", "socket(AF_INET, SOCK_STREAM, 0) = 5"]
)
def test_a_source_that_reaches_for_more_once_sealed_is_seen(call: str, tmp_path: Path) -> None:
    row = checks.source(source_facts(tmp_path, f"{SHUT}{call}"))
    assert call.partition("(")[0] in "".join(row.found)


def test_a_source_without_a_filter_is_seen(tmp_path: Path) -> None:
    taken = "accept(3, 0x1, 0x2) = 4\nrecvfrom(4, 0x1, 9, 0, NULL, NULL) = 9"
    found = source_facts(tmp_path, taken, addresses=frozenset({"127.0.0.1:1"}))
    found.watch.processes[SOURCE_PID].status["Seccomp"] = "0"
    assert checks.source(found).verdict == "red"


def test_a_source_that_waits_is_not_sealed_yet(tmp_path: Path) -> None:
    found = source_facts(tmp_path, "read(6, 0x1, 9) = ?", addresses=frozenset({"127.0.0.1:1"}))
    found.watch.processes[SOURCE_PID].status["Seccomp"] = "0"
    assert checks.source(found).verdict == "not checked"


def test_a_guard_that_decodes_itself_is_not_clean() -> None:
    assert checks.source(facts()).verdict == "not checked"


@pytest.mark.parametrize("pid", [GUARD, TEMPLATE, WORKER, SOURCE_PID])
def test_what_is_told_by_a_name_or_a_command_line_is_seen(pid: int, tmp_path: Path) -> None:
    """Both are shown to every user of the machine."""
    lines = {
        SOURCE_PID: ("python", "safelight.media.apart_process"),
        GUARD: ("python", "guard", "in", "out"),
        TEMPLATE: ("python", "safelight.judge.worker"),
    }
    found = source_facts(tmp_path, "") if pid == SOURCE_PID else facts()
    seen = found.watch.processes[pid]
    seen.lines = [("/usr/bin/strace", "--", "guard"), lines.get(pid, lines[TEMPLATE])]
    assert checks.processes(found).verdict == "clean"
    seen.names.append("s08371")
    assert "was called s08371" in "".join(checks.processes(found).found)
    seen.names.pop()
    seen.lines.append(("0.8371", "guard", *lines[TEMPLATE], *lines[SOURCE_PID]))
    assert "command line 1 times" in "".join(checks.processes(found).found)


def test_what_is_told_by_the_name_of_a_thread_is_seen() -> None:
    found = facts()
    found.guard.threads = {GUARD: ["python"], 77: ["python", "av:h264:df0"]}
    assert checks.processes(found).verdict == "clean"
    found.guard.threads[77] += ["s08371", "s08402"]
    assert "4 names in turn" in "".join(checks.processes(found).found)


def test_a_program_that_becomes_another_is_no_violation() -> None:
    found = facts()
    found.guard.names = ["sh", "python3.11"]
    found.guard.lines = [("sh", "wrapper", "guard"), ("python3.11", "-m", "safelight", "guard")]
    finder = process(13, TEMPLATE, "ldconfig", 0)
    finder.lines = [("python", "-m", "safelight.judge.worker"), ("sh", "-c", "x"), ("ldconfig",)]
    found.watch.processes[13] = finder
    assert checks.processes(found).verdict == "clean"


@pytest.mark.parametrize(
    "call",
    [
        'add_key("user", ""..., 0x1, 4096, KEY_SPEC_USER_KEYRING) = 5',
        "msgget(0x1, IPC_CREAT|0666) = 3",
        'mq_open("name", O_RDWR|O_CREAT, 0666, NULL) = 3',
        "io_uring_setup(8, 0x1) = 3",
        "process_vm_writev(77, 0x1, 1, 0x2, 1, 0) = 64",
        'fsetxattr(3, "user.x", ""..., 64, 0) = 0',
        'setxattr("sink.mp4", "user.x", ""..., 64, 0) = 0',
        'utimensat(AT_FDCWD</w>, "report.json", [{tv_sec=837, tv_nsec=0}, UTIME_OMIT], 0) = 0',
        "fchmod(3</w/sink.mp4>, 0751) = 0",
    ],
)
def test_what_is_left_with_the_kernel_is_no_file_and_is_seen(call: str, tmp_path: Path) -> None:
    row = leavings.shared_memory(facts(calls=traced(tmp_path, call, GUARD)))
    assert call.partition("(")[0] in "".join(row.found)


def test_shared_memory_of_another_guard_is_not_this_one_s(tmp_path: Path) -> None:
    name = "safelight-fuzz-1"
    calls = traced(tmp_path, "read(3, 0x1, 41) = 40", GUARD)
    for found, verdict in ((facts(calls=calls), "clean"), (facts(), "not checked")):
        found.judges[0].mapped = {("r--s", "/memfd:ring")}
        found.watch.shared_memory = {name}
        assert leavings.shared_memory(found).verdict == verdict
    made = f'openat(AT_FDCWD</w>, "/dev/shm/{name}", O_RDWR|O_CREAT, 0600) = 3'
    found = facts(calls=traced(tmp_path, made, GUARD))
    found.watch.shared_memory = {name}
    assert name in "".join(leavings.shared_memory(found).found)


@pytest.mark.parametrize(
    "path",
    [
        "/dev/nullified",
        "/proc/self/cwd/frame",
        "/proc/self/fd/../cwd/frame",
        "/proc/self/../../home/frame",
        "/w/__pycache__/frame.bin",
        "/w/__pycache__/no-such-source.cpython-311.pyc",
        "/w/state/frame",
        "/w/state/below/cool-down.json",
    ],
)
def test_a_file_by_a_name_that_sounds_harmless_is_seen(path: str, tmp_path: Path) -> None:
    calls = traced(tmp_path, f'rename("/w/a", "{path}") = 0', GUARD)
    found = facts(calls=calls, named={"state": Path("/w/state")})
    assert path in "".join(leavings.files_opened(found).found)


def test_byte_code_beside_its_source_and_the_cool_down_are_no_findings(tmp_path: Path) -> None:
    kept = f"{Path(search.__file__).parent}/__pycache__/search.cpython-311.pyc"
    lines = "\n".join(
        f'openat(AT_FDCWD</w>, "x", O_WRONLY|O_CREAT, 0600) = 3<{name}>'
        for name in (kept, f"{kept}.140", "/w/state/cool-down.json.ab.part", "/dev/null")
    )
    found = facts(calls=traced(tmp_path, lines, GUARD), named={"state": Path("/w/state")})
    assert leavings.files_opened(found).verdict == "clean"


def test_files_that_nobody_saw_written_are_not_clean(tmp_path: Path) -> None:
    mine = Changed(tmp_path / "frame", 9, os.getuid())
    others = Changed(tmp_path / "other", 9, os.getuid() + 1)
    looked = Looked([mine, others], [str(tmp_path)], [], cut_off=False)
    assert leavings.files_left(facts(looked=looked)).verdict == "not checked"
    looked.changed = [others]
    assert leavings.files_left(facts(looked=looked)).verdict == "clean"
    looked.changed = [mine]
    assert leavings.files_left(facts(looked=looked, calls={GUARD: Calls(GUARD)})).verdict == "clean"


def test_a_process_that_makes_itself_dumpable_again_is(tmp_path: Path) -> None:
    lines = (
        "prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE) = 0\nprctl(PR_SET_DUMPABLE, SUID_DUMP_USER) = 0"
    )
    assert not traced(tmp_path, lines, GUARD)[GUARD].dumpable_off


def test_a_socket_of_which_no_table_tells_is_not_clean() -> None:
    watch = Watch(os.getpid())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM), watch:  # unbound: in no table
        time.sleep(0.5)
    found = facts()
    assert max(watch.processes[os.getpid()].unlisted.values()) >= checks._SETTLED
    found.guard.unlisted = Counter({"77": checks._SETTLED - 1})
    assert checks.sockets(found).verdict == "clean"
    found.guard.unlisted = Counter({"77": checks._SETTLED})
    assert checks.sockets(found).verdict == "not checked"


HELD = mark.new("held back", 3)
CLEAR = mark.new("clear", 4)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sink") / "guarded.mp4"
    with Film(path, mark.SIZE, rate=10, lossless=True) as out:
        for index in range(4):
            out.add(CLEAR.onto(scenes.scene(index / 10, mark.SIZE)))
    return path


def marked(of: mark.Mark) -> search.Marked:
    rgb = of.onto(canary.at_size(canary.load("cup"), mark.SIZE))
    return search.Marked(of, [(np.asarray(scenes.picture_from_rgb(rgb).y), rgb)])


def test_a_sink_with_the_clear_part_alone_is_clean(film: Path) -> None:
    found = facts(named={"sink": film})
    assert leavings.sink(found, marked(HELD), marked(CLEAR)).verdict == "clean"


def test_a_picture_behind_the_sinks_own_is_seen(film: Path, tmp_path: Path) -> None:
    rgb = HELD.onto(canary.at_size(canary.load("cup"), mark.SIZE))
    more = tmp_path / "more.mp4"
    more.write_bytes(film.read_bytes() + np.asarray(scenes.picture_from_rgb(rgb).y).tobytes())
    row = leavings.sink(facts(named={"sink": more}), marked(HELD), marked(CLEAR))
    assert "in the sink's file" in "".join(row.found)


def test_a_second_video_in_the_sink_is_seen(film: Path, tmp_path: Path) -> None:
    two = tmp_path / "two.mkv"
    with av.open(str(film)) as first, av.open(str(two), "w") as out:
        streams = [out.add_stream_from_template(first.streams.video[0]) for _ in range(2)]
        for packet in first.demux(video=0):
            if packet.dts is None:
                continue
            for stream in streams:
                packet.stream = stream
                out.mux(packet)
    row = leavings.sink(facts(named={"sink": two}), marked(HELD), marked(CLEAR))
    assert "video 2" in "".join(row.found)
