"""Promise 5: a sealed judge reaches nothing, and nobody reaches into it."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from tests.programs import is_running
from tests.source import ROOT, SRC

from safelight.judge import sandbox
from safelight.sealing.layers import FILE_SYSTEM, NETWORK_NAMESPACE, SYSTEM_CALLS

if sys.platform != "linux" or sandbox.unsupported():
    pytest.skip("no sandbox here", allow_module_level=True)

import pyseccomp
from tests.judge.sealed import ACTS, HARMLESS, OUT_OF_MEMORY

ROOTS = os.geteuid() == 0
USERS: Final = ("root", "ordinary") if ROOTS else ("self",)
FORBIDDEN: Final = sorted(set(ACTS) - HARMLESS - OUT_OF_MEMORY - {"crash"})
HELD: Final = tuple(sandbox.Layer(name, True, True, "") for name in sandbox.REQUIRED)


def start(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, **sandbox.SINGLE_THREADED, "PYTHONPATH": f"{SRC}{os.pathsep}{ROOT}"}
    return subprocess.run(
        [sys.executable, "-P", "-m", "tests.judge.sealed", *arguments],
        env=env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=False,
        timeout=60,
    )


@functools.cache
def outcome(what: str, who: str, namespaces: str = "as_they_are") -> dict[str, Any]:
    ran = start(what, who, namespaces)
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.fixture(params=USERS)
def who(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=USERS)
def acts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("acts")
    folder.chmod(0o777)
    found = json.loads(start("crashes", request.param, "as_they_are", folder=folder).stdout)
    found["left"] = [path.name for path in folder.iterdir()]
    for path in folder.iterdir():
        path.unlink()  # the control's core: nothing is in it, but it is large
    return found


# --- what a sealed judge can do ----------------------------------------------------------------


@pytest.mark.parametrize("act", FORBIDDEN)
def test_what_is_not_on_the_list_kills(acts: Any, act: str) -> None:
    assert (acts[act]["said"], acts[act]["signal"]) == ("sealed", signal.SIGSYS)


@pytest.mark.parametrize("act", sorted(HARMLESS))
def test_computing_goes_on(acts: Any, act: str) -> None:
    assert acts[act]["said"] == "sealed+survived"


@pytest.mark.parametrize("act", sorted(OUT_OF_MEMORY))
def test_memory_has_an_end_and_no_answer_comes(acts: Any, act: str) -> None:
    assert (acts[act]["said"], acts[act]["status"]) == ("sealed", 5)


def test_a_crash_leaves_no_core(acts: Any) -> None:
    assert (acts["crash"]["signal"], acts["crash"]["dumped"]) == (signal.SIGSEGV, False)
    if not acts["control_dumped"]:
        pytest.skip("this machine dumps no cores, so there is nothing to compare with")
    assert len(acts["left"]) == 1  # the control's, and no other


def test_every_required_layer_holds_in_the_template(acts: Any) -> None:
    assert [name for name in sandbox.REQUIRED if not acts["prepared"][name][0]] == []


@pytest.mark.parametrize("namespaces", ["refused", "none_left"])
def test_the_required_layers_hold_without_namespaces(who: str, namespaces: str) -> None:
    """As on Ubuntu 24.04: the list of system calls denies the network by itself."""
    found = outcome("acts", who, namespaces)
    held, why = found["prepared"][NETWORK_NAMESPACE]
    assert not held
    assert why
    assert [name for name in sandbox.REQUIRED if not found["prepared"][name][0]] == []
    assert found["nothing"]["said"] == "sealed+survived"
    assert {found[act]["signal"] for act in FORBIDDEN} == {signal.SIGSYS}


# --- what others can do to it ------------------------------------------------------------------


def test_no_other_process_of_the_user_reads_it(who: str) -> None:
    found = outcome("watch", who)
    assert 0 not in found["attack_judge"]
    assert 0 not in found["attack_template"]
    if found["attack_control"][0] != 0:
        pytest.skip("this machine lets nobody trace, so there is nothing to compare with")
    assert set(found["attack_control"]) == {0}


def test_a_guard_sees_the_layers_without_asking_the_judge(who: str) -> None:
    found = outcome("watch", who)
    assert set(sandbox.REQUIRED) <= set(found["judge"])
    assert "no_capabilities" in found["judge"]


def test_a_process_that_is_not_sealed_is_told_apart(who: str) -> None:
    found = outcome("watch", who)
    assert SYSTEM_CALLS not in found["template"]
    assert not {SYSTEM_CALLS, "limits", "not_traceable", "no_new_privileges"} & set(
        found["control"]
    )


def test_nothing_is_seen_of_the_dead(who: str) -> None:
    found = outcome("watch", who)
    assert (found["dead"], found["gone"]) == ([], [])


def test_anyone_can_check_it_as_the_document_says(who: str) -> None:
    status = outcome("watch", who)["status"]
    assert re.search(r"^Name:\tsafelight-judge$", status, re.MULTILINE)
    assert re.search(r"^Seccomp:\t2$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
    assert re.search(r"^Threads:\t1$", status, re.MULTILINE)


@pytest.mark.slow
def test_a_runaway_judge_is_ended_by_the_kernel(who: str) -> None:
    assert outcome("spin", who)["signal"] == signal.SIGXCPU


def test_template_and_judge_die_with_their_guard(who: str) -> None:
    ran = start("orphan", who, "as_they_are")
    assert ran.returncode == -signal.SIGKILL
    pids = json.loads(ran.stdout)
    assert len(pids) == 2
    for _ in range(500):
        alive = [pid for pid in pids if is_running(pid)]
        if not alive:
            return
        time.sleep(0.02)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
    pytest.fail(f"still alive: {alive}")


# --- absence is never permission ---------------------------------------------------------------


def test_all_required_layers_are_enough() -> None:
    assert sandbox.enough(HELD)
    assert sandbox.missing(HELD) == []


@pytest.mark.parametrize("name", sandbox.REQUIRED)
def test_a_required_layer_that_fails_or_is_not_spoken_of_is_missing(name: str) -> None:
    without = tuple(layer for layer in HELD if layer.name != name)
    failed = sandbox.Layer(name, True, False, "refused")
    for layers in (without, (*without, failed), (*HELD, failed), (failed, *HELD)):
        assert not sandbox.enough(layers)
        assert sandbox.missing(layers) == [name]


def test_a_layer_is_not_less_required_because_it_says_so() -> None:
    lying = tuple(replace(layer, required=False, held=False) for layer in HELD)
    assert sandbox.missing(lying) == list(sandbox.REQUIRED)
    assert not sandbox.enough(())


def test_the_probe_shuts_in_another_process_than_this() -> None:
    layers = sandbox.probe()
    assert sandbox.enough(layers)
    assert {layer.name for layer in layers} == {*sandbox.REQUIRED, *sandbox.EXTRA}
    assert all(layer.held or layer.why for layer in layers)
    assert os.stat(__file__)


@pytest.mark.parametrize(
    "program", ["exit 1", "echo '[]'", "echo '[[1]]'", "echo {}", "kill -9 $$"]
)
def test_a_probe_that_breaks_holds_nothing(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n{program}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    layers = sandbox.probe()
    assert not sandbox.enough(layers)
    assert not any(layer.held for layer in layers)


def test_other_systems_are_unsupported_until_isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safelight.sealing.kernel.is_linux", lambda: False)
    assert (sandbox.unsupported() or "").startswith("unsupported until isolated")
    assert not any(layer.held for layer in sandbox.probe())


def test_it_can_be_imported_where_the_libraries_are_absent() -> None:
    program = (
        "import sys; sys.modules['pyseccomp'] = None\n"
        "from safelight.judge import sandbox\n"
        "assert 'not installed' in sandbox.unsupported()\n"
        "layers = sandbox.prepare(1 << 26)\n"
        "assert sandbox.missing(layers) == ['system_calls'], layers\n"
        "assert sandbox.missing(sandbox.seal()) == ['system_calls']\n"
    )
    env = {**os.environ, "PYTHONPATH": str(SRC)}
    subprocess.run([sys.executable, "-P", "-c", program], env=env, check=True, timeout=60)


def test_a_judge_without_a_template_is_not_enough() -> None:
    program = (
        "import os\nfrom safelight.judge import sandbox\n"
        "missing = sandbox.missing(sandbox.seal())\n"
        "os.write(1, repr(missing).encode()); os._exit(0)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(SRC)}
    ran = subprocess.run(
        [sys.executable, "-P", "-c", program], env=env, capture_output=True, check=True, timeout=60
    )
    assert ran.stdout == b"['limits']"


def test_a_second_thread_makes_the_layers_that_bind_one_fail() -> None:
    program = (
        "import os, threading\nfrom safelight.judge import sandbox\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "held = [layer.name for layer in sandbox.prepare(1 << 26) if not layer.held]\n"
        "os.write(1, repr(held).encode()); os._exit(0)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(SRC)}
    ran = subprocess.run(
        [sys.executable, "-P", "-c", program], env=env, capture_output=True, check=True, timeout=60
    )
    assert ran.stdout == repr([NETWORK_NAMESPACE, FILE_SYSTEM]).encode()


# --- the list ----------------------------------------------------------------------------------


def test_the_list_is_short_and_says_each_call_once() -> None:
    assert len(sandbox.JUDGE_CALLS) <= 25
    both = (*sandbox.JUDGE_CALLS, *sandbox.TEMPLATE_CALLS)
    assert len(set(both)) == len(both)


def test_the_lists_hold_nothing_that_reaches_out() -> None:
    outward = {"socket", "connect", "bind", "open", "openat", "openat2", "execve", "execveat"}
    outward |= {"ptrace", "process_vm_readv", "process_vm_writev", "memfd_create", "clone3"}
    outward |= {"io_uring_setup", "bpf", "unshare", "setns", "mount", "ioctl", "userfaultfd"}
    assert not outward & {*sandbox.JUDGE_CALLS, *sandbox.TEMPLATE_CALLS}
    assert not {"clone", "kill", "prctl", "sendmsg", "sendto", "dup"} & set(sandbox.JUDGE_CALLS)


@pytest.mark.parametrize(("machine", "absent"), [("X86_64", set()), ("AARCH64", {"dup2", "poll"})])
def test_only_calls_that_a_machine_is_known_to_lack_are_left_out(
    machine: str, absent: set[str]
) -> None:
    """A name that is misspelt, or gone, would be left out in silence."""
    arch = getattr(pyseccomp.Arch, machine)
    both = (*sandbox.JUDGE_CALLS, *sandbox.TEMPLATE_CALLS)
    assert {name for name in both if pyseccomp.resolve_syscall(arch, name) < 0} == absent


DOCUMENT: Final = (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    return DOCUMENT.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_the_document_lists_the_calls_of_a_judge() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", section("System calls of a judge"), re.MULTILINE)
    assert tuple(rows) == sandbox.JUDGE_CALLS


def test_the_document_lists_the_calls_of_the_template() -> None:
    listed = section("System calls of the template").split("\n\n")[-1]
    assert tuple(re.findall(r"`(\w+)`", listed)) == sandbox.TEMPLATE_CALLS


def test_the_document_lists_the_layers() -> None:
    rows = dict(
        re.findall(r"^\| `(\w+)` \|[^|]*\| (required|extra) ", section("Layers"), re.MULTILINE)
    )
    assert tuple(name for name, kind in rows.items() if kind == "required") == sandbox.REQUIRED
    assert tuple(name for name, kind in rows.items() if kind == "extra") == sandbox.EXTRA
