"""Puts a session together from addresses and names: the way in for everybody."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from safelight import messages, policies
from safelight.bundle.installed import data_folder
from safelight.cooldown import CoolDownFile, Kept, default_folder
from safelight.core.engine import Engine
from safelight.core.gate import BlockGate
from safelight.core.held import Views
from safelight.core.ledger import Ledger
from safelight.core.limits import (
    GRACE_CALL_NS,
    GRACE_LIVESTREAM_NS,
    HOLD_LIVESTREAM_NS,
    Limits,
)
from safelight.core.policy import Policy, first_look_below
from safelight.core.stream import CoolDown
from safelight.errors import UsageError
from safelight.judge.judge import Judge
from safelight.judge.shared import SharedJudge
from safelight.judging import judging
from safelight.media import address, apart
from safelight.media.av_sink import AvSink
from safelight.media.av_source import AvSource
from safelight.media.camera_sink import CameraSink
from safelight.media.coded import CodedPictures
from safelight.media.interface import Sink, Source, SourceInfo
from safelight.media.null_sink import NullSink
from safelight.report import BundlePart, Head, PolicyPart
from safelight.rest import alone
from safelight.run import Parts
from safelight.session import Session
from safelight.telling import Texts
from safelight.types import NS_PER_MS, NS_PER_S, Direction, VerifiedBundle

if TYPE_CHECKING:
    from safelight.bundle.update import Pulled

MIN_SECRET = 16


def open(
    source: str | Source,
    sink: str | Sink,
    *,
    policy: str = policies.DEFAULT,
    direction: str = "outgoing",
    bundle: str | Path | None = None,
    test_bundle: bool = False,
    hold_ms: int | None = None,
    grace_ms: int | None = None,
    resume_after_s: float | None = None,
    region: str | None = None,
    bind: str | None = None,
    state: str | Path | None = None,
    allow_weak_sandbox: bool = False,
    copy: bool = False,
    source_inside: bool = False,
    judge: Judge | SharedJudge | None = None,
    secret: bytes | None = None,
) -> Session:
    """Guard ``source``, and let what may leave go to ``sink``. The stream begins at once.

    Args:
        source: an address (docs/embed.md lists the kinds) or a ``Source`` of your own.
        sink: an address or a ``Sink`` of your own.
        policy: a name (``protect``, ``adult-affirmed``) or a policy file.
        direction: "outgoing" (this device's camera) or "incoming".
        bundle: the folder of the bundle that judges; the default bundle when None.
        test_bundle: let a stand-in bundle judge. Every card and report says TEST.
        hold_ms: how long frames may wait to be bracketed, 0 to 2000; 250 when None.
        grace_ms: how long past its hold a live frame may wait for its answer before it is
            covered, 0 to 1000; when None 500, and 100 where the hold is 0.
        resume_after_s: resume by itself so long after an interruption; for tests and demos,
            never before the cool-down is over.
        region: country code whose help lines local cards show; from the locale when None.
        bind: the local address that a listening source may listen at besides loopback.
        state: the folder of the cool-down file.
        allow_weak_sandbox: run although the processes that judge and decode cannot be
            isolated here as docs/sandbox.md requires.
        copy: pass H.264 pictures on as they came, coded, where neither they nor what they
            refer to is covered. For two addresses.
        source_inside: read and decode in this process, where a flaw in a decoder reaches
            pictures and sockets. Copying does so in any case, and so do devices and graphs.
        judge: one that ``shared_judge`` gave, whose bundle then judges; or a ``Judge`` of your
            own in place of the one that comes with Safelight.
        secret: at least 16 bytes, the key of tokens and of random audits; new by chance when
            None. For evaluations, which must come out the same twice, so f32 alone judges
            then; never for a guard that anybody relies on.

    Returns:
        A session that is already running.

    Raises:
        UsageError, PolicyError, SourceError, SinkError: it cannot be opened.
        UntrustedError: the bundle does not verify, the judge fails its self-test, or what
            judges or decodes cannot be isolated.
    """
    session, at_once = prepare(
        source,
        sink,
        policy=policy,
        direction=direction,
        bundle=bundle,
        test_bundle=test_bundle,
        hold_ms=hold_ms,
        grace_ms=grace_ms,
        resume_after_s=resume_after_s,
        region=region,
        bind=bind,
        state=state,
        allow_weak_sandbox=allow_weak_sandbox,
        copy=copy,
        source_inside=source_inside,
        judge=judge,
        secret=secret,
    )
    session.begin(at_once=at_once)
    return session


def prepare(
    source: str | Source,
    sink: str | Sink,
    *,
    policy: str = policies.DEFAULT,
    direction: str = "outgoing",
    bundle: str | Path | None = None,
    test_bundle: bool = False,
    hold_ms: int | None = None,
    grace_ms: int | None = None,
    resume_after_s: float | None = None,
    region: str | None = None,
    bind: str | None = None,
    state: str | Path | None = None,
    allow_weak_sandbox: bool = False,
    copy: bool = False,
    source_inside: bool = False,
    judge: Judge | SharedJudge | None = None,
    secret: bytes | None = None,
    interrupted: Callable[[int, int], None] = alone,
) -> tuple[Session, bool]:
    """Return a session that has not begun, and whether it opens in its caller's thread.

    ``interrupted``: told of each interruption that begins here (``Parts``). Else as ``open``.
    """
    for name, value in (("policy", policy), ("bundle", bundle), ("state", state), ("bind", bind)):
        if value is not None and not str(value).strip():
            raise UsageError(f"the {name} is empty", "name one, or leave it out")
    if secret is not None and len(secret) < MIN_SECRET:
        raise UsageError(f"a secret of {len(secret)} bytes", f"use {MIN_SECRET} or more, or none")
    gone_by, gone_by_sha256 = policies.load_with_digest(policy)
    way = _direction(direction)
    limits_hold = _hold_ns(hold_ms)
    limits_grace = _grace_ns(grace_ms, limits_hold)
    country = _country(region)
    from_address = address.parse_source(source, bind=bind) if isinstance(source, str) else None
    to_address = address.parse_sink(sink) if isinstance(sink, str) else None
    if from_address and to_address and address.same_file(from_address, to_address):
        raise UsageError("source and sink are the same file", "name another file to write")
    if copy:
        _check_copyable(from_address, to_address)
    coded = CodedPictures() if copy else None
    # With a secret, a run has to come out the same on any machine: f32 alone.
    below = first_look_below(gone_by, Limits().vouch_permille) if secret is None else 0.0
    judged_by = judging(
        judge,
        bundle,
        test_bundle=test_bundle,
        allow_weak=allow_weak_sandbox,
        first_look_below=below,
    )
    verified, looking = judged_by.bundle, judged_by.judge
    kept_file = CoolDownFile(Path(state) if state is not None else default_folder())
    kept_file.check()

    def limits(info: SourceInfo) -> Limits:
        return Limits(hold_ns=limits_hold, patient=not info.live, grace_ns=limits_grace)

    def make_engine(info: SourceInfo) -> Engine:
        # A cool-down is a pause for the people of a live stream. A file is judged on its own,
        # so that the same file always comes out the same.
        kept = kept_file.read(time.time()) if info.live else Kept()
        wait_ns = round(max(0.0, kept.until - time.time()) * NS_PER_S)
        cool_down = CoolDown(kept.level, time.monotonic_ns() + wait_ns if wait_ns else 0)
        return Engine(
            limits(info),
            gone_by,
            verified.calibration,
            Views(looking.every, looking.in_turn),
            BlockGate(),
            secret or secrets.token_bytes(32),
            stream=secrets.randbits(32),
            cool_down=cool_down,
        )

    def make_ledger(info: SourceInfo) -> Ledger:
        return Ledger(limits(info), gone_by, looking.every)

    def others_wait_s() -> float:
        return kept_file.read(time.time()).until - time.time()

    session = Session(
        Parts(
            source=source
            if not isinstance(source, str)
            else _source(from_address, coded, inside=source_inside, allow_weak=allow_weak_sandbox),
            sink=sink if not isinstance(sink, str) else _sink(to_address, coded),
            judge=looking,
            make_engine=make_engine,
            make_ledger=make_ledger,
            texts=_texts(way, country, test=verified.is_test),
            resume_after_s=resume_after_s,
            keep_cool_down=lambda level: kept_file.raise_to(level, time.time()),
            others_wait_s=others_wait_s,
            report_head=_head(
                PolicyPart(
                    name=gone_by.name,
                    sha256=gone_by_sha256,
                    adults_affirmed=gone_by.adults_affirmed,
                ),
                verified,
                way,
            ),
            interrupted=interrupted,
            judge_apart=judged_by.apart,
        )
    )
    return session, from_address is None or from_address.kind is not address.Kind.LISTEN


def source(text: str, *, bind: str | None = None) -> Source:
    """Return the source that an address names, not opened yet, for a host that wraps it.

    Raises:
        UsageError: it is no source.
    """
    return _source(address.parse_source(text, bind=bind), None)


def pull_bundle(
    repository: str, into: str | Path | None = None, *, test_bundle: bool = False
) -> Pulled:
    """Fetch the bundle that a repository offers, verify it, and keep it for later guards.

    The only thing in Safelight that fetches anything. ``repository``: a folder, or an
    ``https://`` address. ``into``: where pulled bundles lie; ``bundles_folder()`` when None.

    Raises:
        UsageError: the repository cannot be reached, or the folder not be written.
        BundleError: anything does not verify; what is installed stays as it is.
    """
    # Loaded here: no guard needs what fetches.
    from safelight.bundle import update  # noqa: PLC0415

    place = Path(into) if into is not None else bundles_folder(test_bundle=test_bundle)
    return update.pull(repository, place, test=test_bundle)


def bundles_folder(*, test_bundle: bool = False) -> Path:
    """Return where this user's pulled bundles lie; it need not be there yet."""
    return data_folder(os.environ, test=test_bundle)


def _direction(direction: str) -> Direction:
    try:
        return Direction(direction)
    except ValueError:
        raise UsageError(
            f"there is no direction {direction!r}", "use outgoing or incoming"
        ) from None


def _country(region: str | None) -> str | None:
    if region is None:
        return messages.region_from_locale(os.environ)
    return messages.known_region(region)


def _hold_ns(hold_ms: int | None) -> int:
    if hold_ms is None:
        return HOLD_LIVESTREAM_NS
    if not 0 <= hold_ms <= 2000:
        raise UsageError(f"a hold of {hold_ms} ms is out of range", "use 0 to 2000")
    return hold_ms * NS_PER_MS


def _grace_ns(grace_ms: int | None, hold_ns: int) -> int:
    if grace_ms is None:
        # Who watches what is held is not talking back, and has a buffer: late is less to them
        # than a card. In a call it is the other way round.
        return GRACE_LIVESTREAM_NS if hold_ns else GRACE_CALL_NS
    if not 0 <= grace_ms <= 1000:
        raise UsageError(f"a grace of {grace_ms} ms is out of range", "use 0 to 1000")
    return grace_ms * NS_PER_MS


def _check_copyable(source: address.Address | None, sink: address.Address | None) -> None:
    if source is None or sink is None:
        raise UsageError("only addresses can be copied between", "leave copy out")
    if sink.kind is address.Kind.FILE and sink.target.lower().endswith(".ts"):
        raise UsageError(f"{sink.shown} cannot take copies", "use .mp4, .m4v, .mov, .mkv or .flv")


def _source(
    parsed: address.Address | None,
    coded: CodedPictures | None,
    *,
    inside: bool = False,
    allow_weak: bool = False,
) -> Source:
    if parsed is None:
        raise UsageError("there is no source", "name one")
    if inside or coded is not None or not apart.decodes_apart(parsed):
        return AvSource(parsed, coded=coded)
    return AvSource(parsed, decodes=apart.Apart(allow_weak=allow_weak))


def _sink(parsed: address.Address | None, coded: CodedPictures | None) -> Sink:
    if parsed is None:
        raise UsageError("there is no sink", "name one")
    match parsed.kind:
        case address.Kind.NULL:
            return NullSink()
        case address.Kind.CAMERA:
            return CameraSink(parsed.target or None)
        case _:
            return AvSink(parsed, coded=coded)


def _texts(way: Direction, region: str | None, *, test: bool) -> Texts:
    local = messages.Face.LOCAL_INCOMING if way is Direction.INCOMING else None
    stream_face = local or messages.Face.REMOTE
    local_face = local or messages.Face.LOCAL_OUTGOING
    return Texts(
        stream=messages.card_text(stream_face, region, test=test),
        local=messages.card_text(local_face, region, test=test),
        state=lambda state: messages.state_text(state, way).headline,
        event=lambda kind: messages.event_text(kind, way).headline,
    )


def _head(policy: PolicyPart, bundle: VerifiedBundle, way: Direction) -> Head:
    return Head(
        policy=policy,
        bundle=BundlePart(
            id=bundle.id,
            version=bundle.version,
            sha256=bundle.sha256,
            purpose=bundle.purpose,
            test=bundle.is_test,
        ),
        direction=way.value,
    )


def verify_policy(name_or_path: str) -> Policy:
    """Load and validate a policy, one of ours by name or a file.

    Raises:
        PolicyError: it cannot be found, read or validated.
    """
    return policies.load(name_or_path)


def policy_sha256(name_or_path: str) -> str:
    """Return the SHA-256 of a policy's bytes, as reports name it.

    Raises:
        PolicyError: it cannot be found, read or validated.
    """
    return policies.load_with_digest(name_or_path)[1]


def cool_down(state: str | Path | None = None) -> tuple[int, float]:
    """Return a user's cool-down: its level, 0 (none) to 4, and how many seconds it lasts yet."""
    now = time.time()
    kept = CoolDownFile(Path(state) if state is not None else default_folder()).read(now)
    return kept.level, max(0.0, kept.until - now)
