"""A second opinion at the sink: was every picture that leaves judged, or bound to judged ones?

It keeps records of its own of what was asked and answered, taken at the judge's channel and
not from the engine, and looks again at each picture the moment it leaves. What it finds is
``unjudged_released``, which must stay 0: a *system leak* otherwise.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from dataclasses import dataclass

from safelight.core.limits import Limits
from safelight.core.policy import Policy, checked, decide, vouches
from safelight.types import (
    Absent,
    AbsentReason,
    Action,
    Binding,
    Evidence,
    Frame,
    Picture,
    SafeFrame,
    Token,
)

REMEMBER = 4096  # questions; minutes of a busy stream, far beyond any hold


@dataclass(slots=True)
class _Asked:
    pts_ns: int
    picture: weakref.ref[Picture]
    evidence: Evidence | None = None


class Ledger:
    """One stream's ledger."""

    def __init__(self, limits: Limits, policy: Policy, every: tuple[str, ...]) -> None:
        self._limits = limits
        self._policy = policy
        self._every = every
        self._asked: OrderedDict[Token, _Asked] = OrderedDict()
        self.unjudged_released = 0

    def asked(self, token: Token, frame: Frame) -> None:
        """Note which picture goes to the judge under which token."""
        if isinstance(frame.content, Picture):
            self._asked[token] = _Asked(frame.pts_ns, weakref.ref(frame.content))
            if len(self._asked) > REMEMBER:
                self._asked.popitem(last=False)

    def answered(self, token: Token, evidence: Evidence) -> None:
        """Note what came back. An answer to no question is no answer; two that differ are
        none either."""
        asked = self._asked.get(token)
        if asked is None:
            return
        evidence = checked(evidence, self._every)
        if asked.evidence is not None and asked.evidence != evidence:
            evidence = Absent(AbsentReason.CONTRADICTED)
        asked.evidence = evidence

    def leaving(self, safe: SafeFrame) -> bool:
        """Look at a frame on its way to the sink; return whether it may leave as it is."""
        if not isinstance(safe.content, Picture) or not safe.released:
            return True
        if self._grounded(safe, safe.content):
            return True
        self.unjudged_released += 1
        return False

    def _grounded(self, safe: SafeFrame, content: Picture) -> bool:
        verdict = safe.verdict
        if verdict is None or verdict.action is not Action.RELEASE:
            return False
        ends: list[_Asked] = []
        for token, _ in verdict.rests_on:
            asked = self._asked.get(token)
            if asked is None or asked.evidence is None:
                return False
            if decide(self._policy, asked.evidence)[0] is not Action.RELEASE:
                return False
            ends.append(asked)
        match verdict.binding, ends:
            case Binding.JUDGED, [own]:
                return own.picture() is content
            case Binding.STILL, [earlier] if self._vouch(ends):
                return 0 <= safe.pts_ns - earlier.pts_ns <= self._limits.still_age_ns
            case Binding.BRACKETED, [left, right] if self._vouch(ends):
                within = left.pts_ns <= safe.pts_ns <= right.pts_ns
                return within and right.pts_ns - left.pts_ns <= self._limits.hold_ns
        return False

    def _vouch(self, ends: list[_Asked]) -> bool:
        """Whether every end is clear by so much that another frame may rest on it."""
        return all(
            end.evidence is not None
            and vouches(self._policy, end.evidence, self._limits.vouch_permille)
            for end in ends
        )
