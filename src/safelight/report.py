"""The report of one stream: states, times and counts; no scores, no picture, no address.

``Report`` is the file format (``--report``, spec/report.schema.json); ``Tally`` gathers it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from importlib import metadata
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from safelight.media.interface import DroppedStream
from safelight.types import (
    NS_PER_S,
    Action,
    Binding,
    Reason,
    SafeFrame,
    State,
    Verdict,
)

LATENCY_STEP_NS = 100_000  # a tenth of a millisecond


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False
    )


class Frames(_Part):
    """Counts of pictures: ``in = released + covered + interrupted + dropped``."""

    in_: int = Field(alias="in", ge=0)
    released: int = Field(ge=0)
    covered: int = Field(ge=0)
    interrupted: int = Field(ge=0)
    dropped: int = Field(ge=0)
    judged: int = Field(ge=0, description="pictures that the judge answered for")
    still: int = Field(ge=0, description="released as still")
    bracketed: int = Field(ge=0, description="released as bracketed")
    unjudged_released: int = Field(
        ge=0, description="system leaks: recomputed at the sink from a ledger of its own"
    )


class StateSpan(_Part):
    """A stretch of stream time in one state.

    Stream time is the source's pts. Where those go back (a publisher came back, a clock began
    anew) it goes on one step after the last picture, as what was written does: it never goes
    back. A first ``pending`` of no length is no stream that began open: its first pictures
    waited, and had been judged when they left.
    """

    state: Literal["pending", "live", "covered", "interrupted"]
    from_pts_s: float = Field(description="stream time in seconds; never goes back")
    to_pts_s: float = Field(description="stream time in seconds")
    reason: Literal[
        "starting",
        "clear",
        "sexual_content",
        "no_verdict",
        "fault",
        "overload",
        "discontinuity",
        "user_resume",
        "other_direction",
        "end",
    ]


class Latency(_Part):
    """From a picture's arrival to its leaving, milliseconds; the hold is included."""

    p50: float
    p99: float
    max: float


class Cpu(_Part):
    """CPU time in seconds, since the stream was asked for."""

    total: float = Field(description="of the guard's process, its judge's and its source's")
    judge: float = Field(description="of the judge alone, its start included")
    source: float = Field(
        default=0.0, description="of what decodes in processes of its own; 0 where none does"
    )


class PolicyPart(_Part):
    """The policy gone by."""

    name: str
    sha256: str = Field(
        pattern="^[0-9a-f]{64}$",
        description="of the policy's bytes as they were read; `safelight policy check` prints it",
    )
    adults_affirmed: bool


class BundlePart(_Part):
    """What judged."""

    id: str
    version: int
    sha256: str
    purpose: str
    test: bool


class DroppedPart(_Part):
    """Something of the source that was not passed on."""

    kind: str
    what: str
    count: int = Field(ge=1)


class FaultPart(_Part):
    """Something that broke, or an answer that did not count."""

    what: str
    count: int = Field(ge=1)


class Head(_Part):
    """What a report says of a stream before it began."""

    policy: PolicyPart
    bundle: BundlePart
    direction: Literal["outgoing", "incoming"]


class Report(_Part):
    """One stream, from its start to its end."""

    schema_: Literal["safelight.report/1"] = Field(alias="schema", default="safelight.report/1")
    outcome: Literal["ended", "closed", "fault"]
    frames: Frames
    states: tuple[StateSpan, ...]
    misses: Literal["not measured"] = Field(
        default="not measured",
        description="sensitive content judged clear; its rate on real abuse is unknown",
    )
    copied: int = Field(
        default=0, ge=0, description="released pictures that left as they came, coded (--copy)"
    )
    muted_s: float = Field(ge=0.0)
    added_latency_ms: Latency
    cpu_s: Cpu
    policy: PolicyPart
    bundle: BundlePart
    direction: Literal["outgoing", "incoming"]
    dropped_streams: tuple[DroppedPart, ...]
    faults: tuple[FaultPart, ...]
    versions: dict[str, str]

    def as_json(self) -> str:
        """Return the file's text."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"


class Tally:
    """Counts while a stream runs. The main loop and the writer both add to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.arrived = 0
        self.left: Counter[Action] = Counter()
        self.bound: Counter[Binding] = Counter()
        self.judged = 0
        self.muted_ns = 0
        self.faults: Counter[str] = Counter()
        self._latency: Counter[int] = Counter()
        self._latency_max_ns = 0
        self._spans: list[tuple[State, Reason, int]] = []
        self._end_ns = 0

    def picture_left(self, safe: SafeFrame, verdict: Verdict, took_ns: int) -> None:
        """Count a picture, or the card in its place, that a sink has taken."""
        with self._lock:
            action = verdict.action
            if action is Action.RELEASE and not safe.released:
                action = Action.COVER  # its verdict had expired
            self.left[action] += 1
            if safe.released and verdict.binding is not None:
                self.bound[verdict.binding] += 1
            self._latency[took_ns // LATENCY_STEP_NS] += 1
            self._latency_max_ns = max(self._latency_max_ns, took_ns)

    def reached(self, at_ns: int) -> None:
        """Note how far the stream has come, in stream time."""
        self._end_ns = max(self._end_ns, at_ns)

    def state_changed(self, state: State, reason: Reason, at_ns: int) -> None:
        """Note a change of state, at a stream time that never goes back."""
        if reason is not Reason.END:
            self._spans.append((state, reason, at_ns))

    def fault(self, what: str) -> None:
        """Note a fault."""
        with self._lock:
            self.faults[what] += 1

    def frames(self, unjudged_released: int) -> Frames:
        """Return the counts. What neither left nor is left over was dropped."""
        with self._lock:
            gone = sum(self.left.values())
            counts = {
                "in": self.arrived,
                "released": self.left[Action.RELEASE],
                "covered": self.left[Action.COVER],
                "interrupted": self.left[Action.INTERRUPT],
                "dropped": self.arrived - gone,
                "judged": self.judged,
                "still": self.bound[Binding.STILL],
                "bracketed": self.bound[Binding.BRACKETED],
                "unjudged_released": unjudged_released,
            }
        return Frames.model_validate(counts)

    def states(self) -> tuple[StateSpan, ...]:
        """Return the states gone through, each with the stream time it spans."""
        if not self._spans:
            return ()
        ends = [*(at for _, _, at in self._spans[1:]), max(self._end_ns, self._spans[-1][2])]
        return tuple(
            StateSpan(
                state=state.value,
                from_pts_s=round(at / NS_PER_S, 3),
                to_pts_s=round(end / NS_PER_S, 3),
                reason=reason.value,
            )
            for (state, reason, at), end in zip(self._spans, ends, strict=True)
        )

    def latency(self) -> Latency:
        """Return percentiles of the added latency; zeros when nothing left."""
        with self._lock:
            total = sum(self._latency.values())
            return Latency(
                p50=self._percentile(total, 0.50),
                p99=self._percentile(total, 0.99),
                max=round(self._latency_max_ns / 1e6, 1),
            )

    def _percentile(self, total: int, share: float) -> float:
        seen = 0
        for step in sorted(self._latency):
            seen += self._latency[step]
            if seen >= share * total:
                return round(step * LATENCY_STEP_NS / 1e6, 1)
        return 0.0


def versions(*, looked_first: bool = False) -> dict[str, str]:
    """Return the versions of what judges and what encodes.

    ``looked_first``: a quicker network looked first, which OpenVINO computes.
    """
    names = ("safelight", "av", "onnxruntime", "numpy", "opencv-python-headless", "dlib-bin")
    first = ("openvino",) if looked_first else ()
    return {name: metadata.version(name) for name in (*names, *first)}


def assemble(
    tally: Tally,
    unjudged_released: int,
    *,
    outcome: Literal["ended", "closed", "fault"],
    cpu_s: Cpu,
    copied: int,
    dropped: Iterable[DroppedStream],
    head: Head,
    looked_first: bool = False,
) -> Report:
    """Return the report of what ``tally`` gathered."""
    return Report(
        outcome=outcome,
        frames=tally.frames(unjudged_released),
        states=tally.states(),
        copied=copied,
        muted_s=round(tally.muted_ns / NS_PER_S, 3),
        added_latency_ms=tally.latency(),
        cpu_s=cpu_s,
        policy=head.policy,
        bundle=head.bundle,
        direction=head.direction,
        dropped_streams=tuple(
            DroppedPart(kind=d.kind, what=d.what, count=d.count) for d in dropped
        ),
        faults=tuple(FaultPart(what=w, count=n) for w, n in sorted(tally.faults.items())),
        versions=versions(looked_first=looked_first),
    )
