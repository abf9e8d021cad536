"""The checks on what is left behind: files, shared memory, dumps, marked pictures, scores."""

from __future__ import annotations

import importlib.util
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from safelight.audit import mark, proc, scores, search, tracing
from safelight.audit.expected import LEADS_ELSEWHERE, NOTHING_KEPT, NOTHING_KEPT_BELOW
from safelight.audit.facts import Facts, by_root
from safelight.audit.outcome import Row, row, row_but, unchecked
from safelight.audit.places import Changed
from safelight.audit.search import Marked
from safelight.audit.watching import JUDGE
from safelight.errors import SafelightError
from safelight.testing.film import streams

_CORE_FILE = b"\x7fELF", 16, 4  # magic, where its kind stands, the kind of a dump
_SMALL = 4 << 20


def files_left(facts: Facts) -> Row:
    """Files that are there afterwards and were not before."""
    own = [c.path for c in facts.looked.changed if facts.is_its_own(c.path)]
    found = [str(path) for path in own if not _may_be(facts, path)]
    others = len(facts.looked.changed) - len(own)
    named = len(own) - len(found)
    text = f"{len(facts.looked.places)} places: {named} that were named; {others} of other programs"
    if facts.looked.cut_off:
        return unchecked("files left", f"too many files to look at all ({text})")
    doubtful = [c for c in facts.looked.changed if _may_be_its_own(facts, c)]
    if doubtful and not found:
        why = f"nobody can tell who wrote {len(doubtful)} files, the first {doubtful[0].path}"
        return unchecked("files left", f"{why} ({text})")
    return row("files left", text, found)


def files_opened(facts: Facts) -> Row:
    """Files that were opened to write, also those that are gone."""
    if facts.calls is None:
        return unchecked("files opened", facts.why)
    found = []
    count = 0
    for pid, calls in facts.calls.items():
        for name, call in calls.written.items():
            count += 1
            judging = facts.who(pid) == "judge"
            if judging or not _may_be(facts, Path(name)):
                found.append(f"{facts.who(pid)} {call}: {name}")
    text = f"{count} to write; {len(found)} that nobody named"
    return row_but("files opened", text, found, facts.unread(tracing.OPENING))


def shared_memory(facts: Facts) -> Row:
    """Memory with a name, and whether a judge could write to its ring."""
    came = [proc.SHM + name for name in sorted(facts.watch.shared_memory)]
    found = [name for name in came if _is_ours(facts, name)]
    found += [f"System V segment {s} of process {p}" for s, p in facts.watch.segments.items()]
    for pid, calls in (facts.calls or {}).items():
        if calls.shared:
            found.append(f"{facts.who(pid)} called {' '.join(calls.shared)}")
        found += [
            f"{facts.who(pid)}: {name}" for name in calls.written if name.startswith(proc.SHM)
        ]
    rings = []
    for seen in facts.processes:
        for rights, name in seen.mapped:
            if name.startswith((proc.SHM, "/SYSV")):
                found.append(f"{facts.who(seen.pid)} maps {name}")
            elif seen in facts.judges and name.startswith("/memfd:"):
                rings.append(rights)
                if "w" in rights and "s" in rights:
                    found.append(f"judge {seen.pid} can write to {name} ({rights})")
    named = f"with a name: {len(found)}"
    if not rings and not found:
        return unchecked("shared memory", f"no judge's ring was to be seen: be root ({named})")
    doubtful = [name for name in came if "safelight" in name and name not in found]
    if doubtful and not found and not _knows_all_it_wrote(facts):
        why = f"nobody can tell whose {doubtful[0]} is"
        return unchecked("shared memory", f"{why}, another guard's or this one's ({named})")
    ring = f"judge maps its ring {'/'.join(sorted(set(rings)))}" if rings else "ring not seen"
    return row("shared memory", f"{named}; {ring}", found)


def core_dumps(facts: Facts) -> Row:
    """Whether any process could leave a dump, and whether one did when it was made to crash."""
    found = []
    for seen in facts.processes:
        who = facts.who(seen.pid)
        if who in {"template", "source", "loader"} and seen.looks < 3:
            continue
        if seen.limits.get("Max core file size", "?") != "0/0" and who in {
            "guard",
            "judge",
            "template",
            "loader",
            "source",
        }:
            found.append(
                f"{who} {seen.pid}: RLIMIT_CORE is {seen.limits.get('Max core file size')}"
            )
        found += _dumpable(facts, seen.pid, who)
    for calls in (facts.calls or {}).values():
        if calls.dumped:
            found.append(f"{facts.who(calls.pid)} {calls.pid} dumped its memory")
    files = [f"a dump: {c.path}" for c in facts.looked.changed if _is_dump(facts, c.path)]
    found += files
    dumps = len(files) + sum(c.dumped for c in (facts.calls or {}).values())
    crashed = "the judge was made to crash" if facts.killed else "nothing was made to crash"
    pattern = proc.core_pattern() or "unknown"
    return row("core dumps", f"{crashed}; dumps found: {dumps}; core_pattern {pattern}", found)


def picture(facts: Facts) -> Row:
    """The marked pictures, in every file that changed and all that was said."""
    if not facts.marks:
        return unchecked("marked picture", "not this audit's stream: no marked picture in it")
    found = []
    count = 0
    size = 0
    for path, own in _searched(facts):
        try:
            with path.open("rb") as file:
                data = file.read(search.MOST_BYTES)
        except OSError:
            continue
        count += 1
        size += len(data)
        # A dump is a violation whatever is in it, and as large as a process.
        dump = _is_dump(facts, path)
        for marked in () if dump else facts.marks:
            how = search.find(data, marked, thorough=own)
            how = how or (search.find_in_film(path, marked) if own else None)
            if how is not None:
                found.append(f"{path}: the picture {marked.mark.name}, {how}")
    text = f"{count} files, {size / 1e6:.1f} MB, {len(facts.looked.places)} places; in {len(found)}"
    return row("marked picture", text, found)


def sink(facts: Facts, held: Marked, clear: Marked) -> Row:
    """What left: the clear part may, what was held back may not."""
    try:
        worst, count = search.in_film(facts.named["sink"], held)
        best, _ = search.in_film(facts.named["sink"], clear)
    except SafelightError:
        return unchecked("sink", "what left cannot be read back")
    if best < mark.LIKE:
        return unchecked("sink", "the mark of the clear part is not known again in what left")
    found = []
    if worst >= mark.LIKE:
        found.append(f"the picture {held.mark.name} left by the sink")
    # Besides its pictures: what is attached, beside them, or written behind them.
    with facts.named["sink"].open("rb") as file:
        how = search.find(file.read(search.MOST_BYTES), held)
    if how is not None:
        found.append(f"the picture {held.mark.name} is in the sink's file, {how}")
    kinds = streams(facts.named["sink"])
    if kinds["video"] != 1 or kinds["audio"] > 1 or kinds.keys() - {"video", "audio"}:
        found.append("the sink's file holds more than one video and its sound: " + _listed(kinds))
    alike = f"likeness to the clear mark {best:.2f}, to the one held back {worst:.2f}"
    return row("sink", f"{count} pictures left; {alike}", found)


def _listed(kinds: Counter[str]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))


def score_lines(facts: Facts) -> Row:
    """Lines that look like scores, in what was said, written and logged."""
    found = []
    lines = 0
    for path, own in (*_searched(facts), *((p, True) for p in facts.named.values() if p.is_file())):
        if not own or path == facts.named.get("sink"):
            continue
        try:
            with path.open("rb") as file:
                data = file.read(_SMALL)
        except OSError:
            continue
        if b"\0" in data[:4096]:
            continue
        said = data.decode("utf-8", "replace")
        lines += said.count("\n")
        if path.suffix == ".json":
            with suppress(ValueError, RecursionError):
                found += [f"{path}: {name}" for name in scores.in_document(json.loads(said))]
                continue
        found += [f"{path.name}:{number}" for number in scores.in_text(said)]
    return row(
        "scores",
        f"{lines} lines that the guard wrote; numbers finer than a state: {len(found)}",
        found,
    )


def _searched(facts: Facts) -> Iterator[tuple[Path, bool]]:
    """Yield each file to search, and whether it is the guard's own."""
    for path in facts.said:
        yield path, True
    for changed in facts.looked.changed:
        if changed.path != facts.named.get("sink") and changed.path.is_file():
            yield changed.path, facts.is_its_own(changed.path)


def _may_be_its_own(facts: Facts, changed: Changed) -> bool:
    """Whether the guard may have written a file that nothing shows to be its own."""
    if _knows_all_it_wrote(facts):
        return False
    uid = facts.guard.status.get("Uid", "").split()[:1]
    own = facts.is_its_own(changed.path) or facts.is_named(changed.path)
    return not own and (not uid or int(uid[0]) == changed.owner)


def _knows_all_it_wrote(facts: Facts) -> bool:
    return facts.calls is not None and not sum(facts.unread(tracing.OPENING).values())


def _may_be(facts: Facts, path: Path) -> bool:
    return _keeps_nothing(str(path)) or facts.is_named(path) or _is_byte_code(path)


def _keeps_nothing(name: str) -> bool:
    name = os.path.normpath(name)
    if name in NOTHING_KEPT:
        return True
    if not name.startswith(NOTHING_KEPT_BELOW):
        return False
    return not name.startswith("/proc/self/") or name.split("/")[3] not in LEADS_ELSEWHERE


def _is_byte_code(path: Path) -> bool:
    """Whether Python keeps there what it made of the source beside it, or is about to.

    It is searched for pictures too.
    """
    if path.name == "__pycache__":
        return any(path.parent.glob("*.py"))
    whole = path.with_suffix("") if path.suffix[1:].isdecimal() else path
    try:
        return Path(importlib.util.source_from_cache(str(whole))).is_file()
    except ValueError:
        return False


def _is_ours(facts: Facts, name: str) -> bool:
    if any(name in p.files or ("", name) in p.mapped for p in facts.processes):
        return True
    mapped = {where for p in facts.processes for _, where in p.mapped}
    written = {path for c in (facts.calls or {}).values() for path in c.written}
    return name in mapped or name in written


def _dumpable(facts: Facts, pid: int, who: str) -> list[str]:
    if who not in {"guard", "judge", "template", "loader"}:
        return []
    if facts.calls is not None:
        above = facts.watch.processes[pid].parent if who == "judge" else pid
        is_off = any(facts.calls[p].dumpable_off for p in (pid, above) if p in facts.calls)
        return [] if is_off else [f"{who} {pid} is dumpable: others of its user read its memory"]
    seen = facts.watch.processes[pid]
    user = seen.status.get("Uid", "0").split()[0]
    if not by_root() and user != "0" and seen.owner == int(user) and JUDGE in seen.names:
        return [f"{who} {pid} is dumpable: others of its user read its memory"]
    return []


def _is_dump(facts: Facts, path: Path) -> bool:
    magic, at, kind = _CORE_FILE
    if not facts.is_its_own(path) and not any(str(p.pid) in path.name for p in facts.processes):
        return False
    try:
        with path.open("rb") as file:
            head = file.read(20)
    except OSError:
        return False
    return head.startswith(magic) and head[at : at + 1] == bytes([kind])
