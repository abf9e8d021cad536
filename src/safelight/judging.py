"""Which bundle a stream is judged by, and by which judge: its own, a shared one, the host's."""

from __future__ import annotations

import datetime
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from safelight.bundle import trust
from safelight.core.policy import MOST_FIRST_LOOK
from safelight.errors import BundleError
from safelight.judge import sandbox
from safelight.judge.judge import Judge
from safelight.judge.seat import Seat
from safelight.judge.shared import SharedJudge
from safelight.judge.supervisor import ProcessJudge
from safelight.types import VerifiedBundle


@dataclass(frozen=True, slots=True)
class Judging:
    """What judges a stream. ``apart``: its CPU time is not this process's."""

    bundle: VerifiedBundle
    judge: Judge
    apart: bool


def shared_judge(
    bundle: str | Path | None = None,
    *,
    test_bundle: bool = False,
    allow_weak_sandbox: bool = False,
) -> SharedJudge:
    """Return a judge for several streams, each opened with ``judge=`` it; close it at the end.

    One process judges for all of them, in fair turns. What that saves, and what it gives up,
    is in docs/embed.md; without it each stream has a judge of its own.

    Args:
        bundle: the folder of the bundle that judges all of them; the default one when None.
        test_bundle: let a stand-in bundle judge; each stream has to agree.
        allow_weak_sandbox: run although it cannot be isolated here as docs/sandbox.md requires.

    Raises:
        BundleError: the bundle does not verify, or is a stand-in and ``test_bundle`` is False.
    """
    verified = verify_bundle(bundle, test_bundle=test_bundle)
    if allow_weak_sandbox and sandbox.unsupported() is not None:
        return SharedJudge(verified, make=lambda: _own(verified, allow_weak=True))
    # Where it is not installed, no stream has to be apart for it.
    below = MOST_FIRST_LOOK if importlib.util.find_spec("openvino") is not None else 0.0
    return SharedJudge(verified, allow_weak=allow_weak_sandbox, first_look_below=below)


def judging(
    judge: Judge | SharedJudge | None,
    bundle: str | Path | None,
    *,
    test_bundle: bool,
    allow_weak: bool,
    first_look_below: float,
) -> Judging:
    """Return what is to judge a stream. Args are those of ``safelight.open``.

    ``first_look_below``: see ``ProcessJudge``. Where it is less than a shared judge goes by,
    the stream gets one of its own.

    Raises:
        BundleError: the bundle does not verify, or a shared judge judges by another one.
    """
    if isinstance(judge, SharedJudge):
        judge = judge.seat()
    if isinstance(judge, Seat):
        judge.first_look_below = first_look_below
        return Judging(_bundle_of(judge, bundle, test_bundle=test_bundle), judge, judge.apart)
    verified = verify_bundle(bundle, test_bundle=test_bundle)
    if judge is None:
        judge = _own(verified, allow_weak=allow_weak, first_look_below=first_look_below)
    return Judging(verified, judge, isinstance(judge, ProcessJudge))


def verify_bundle(bundle: str | Path | None = None, *, test_bundle: bool = False) -> VerifiedBundle:
    """Verify a bundle, the default one when None.

    Raises:
        BundleError: it does not verify, or is a stand-in and ``test_bundle`` is False.
    """
    folder = Path(bundle) if bundle is not None else trust.default_folder()
    return trust.verify(folder, allow_test=test_bundle, today=_today())


def _bundle_of(seat: Seat, bundle: str | Path | None, *, test_bundle: bool) -> VerifiedBundle:
    """Return the bundle of a shared judge, once more looked at for one more stream."""
    shared = seat.bundle
    trust.check_still_judges(shared, allow_test=test_bundle, today=_today())
    if bundle is not None:
        named = verify_bundle(bundle, test_bundle=test_bundle)
        if named.sha256 != shared.sha256:
            raise BundleError(
                f"the shared judge does not judge by bundle {named.id} {named.version} as it is",
                "name no bundle, or share a judge of that one",
            )
    return shared


def _own(bundle: VerifiedBundle, *, allow_weak: bool, first_look_below: float = 0.0) -> Judge:
    if allow_weak and sandbox.unsupported() is not None:
        # Loaded only here: a guard whose judge is apart does not load the networks itself.
        from safelight.judge.inprocess import InProcessJudge  # noqa: PLC0415

        return InProcessJudge(bundle)
    return ProcessJudge(bundle, allow_weak=allow_weak, first_look_below=first_look_below)


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()
