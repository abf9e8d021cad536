"""The pictures that wait: which are judged, which may inherit, and what each has come to.

The rules are design.md's *judged*, *still* and *bracketed*. A frame is either asked about
itself, or tied to one (still) or two (bracketed) frames that were; a tie that fails turns
into a question of its own, oldest first. Nothing here releases anything: core/engine.py
does, and only what :func:`outcome` calls clear.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass

from safelight.core.entry import Entry, Result
from safelight.core.gate import Gate
from safelight.core.limits import Limits
from safelight.core.load import Load
from safelight.core.policy import Policy, decide, for_neighbours, is_far_below, vouches
from safelight.core.spans import Spans
from safelight.core.turns import Turns
from safelight.types import (
    Action,
    Ask,
    Binding,
    Command,
    Drop,
    Evidence,
    Frame,
    Picture,
    Reason,
    Scores,
    Token,
)


@dataclass(frozen=True, slots=True)
class Views:
    """Names of the views of the bundle: run every time, or one in turn."""

    every: tuple[str, ...]
    in_turn: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.every:
            raise ValueError("a bundle without a view for every frame judges nothing")


class Held:
    """The queue of one stream's pictures and the ties between them."""

    def __init__(  # noqa: PLR0917
        self, limits: Limits, policy: Policy, gate: Gate, views: Views, secret: bytes, stream: int
    ) -> None:
        if len(secret) < 16:
            raise ValueError("the secret of tokens and audits has at least 16 bytes")
        self._limits = limits
        self._policy = policy
        self._gate = gate
        self._views = views
        self._secret = secret
        self._stream = stream
        self._count = 0
        self._epoch = 0
        self._turns = Turns(limits, views.in_turn)
        self._load = Load(limits, len(views.every))
        self._spans = Spans(limits)
        self.queue: deque[Entry] = deque()
        self.outstanding: dict[Token, Entry] = {}
        self.reference: Entry | None = None
        self.clock = 0
        self.ended = False  # no picture follows those in the queue

    # --- tokens, audits -------------------------------------------------------------------

    def _hash(self, what: bytes, seq: int) -> int:
        message = what + self._epoch.to_bytes(8) + seq.to_bytes(16, signed=True)
        return int.from_bytes(hashlib.blake2b(message, key=self._secret, digest_size=8).digest())

    def token(self, seq: int) -> Token:
        """Return the token of a frame: nobody without the secret can guess its nonce."""
        return Token(self._stream, seq, self._hash(b"token", seq))

    def _audited(self, seq: int, one_in: int) -> bool:
        return self._hash(b"audit", seq) % one_in == 0

    # --- arrival --------------------------------------------------------------------------

    def arrive(
        self, now_ns: int, frame: Frame, picture: Picture, *, live: bool, barrier: Reason | None
    ) -> list[Command]:
        """Take in a picture. ``live``: it may inherit; otherwise it is judged itself."""
        entry = self._entry(now_ns, frame, picture)
        entry.barrier = barrier
        out: list[Command] = []
        if live:
            leans = self._lean(entry, now_ns, out)
            reference = self.reference
            if not leans and reference is not None and self._may_lean_on(reference):
                # It differs too much, or came too late, to inherit. The frame just before it
                # closes the bracket of those that wait, so that a cut costs two judgements and
                # not eight. Only what came too late may lean on that one: of what changes step
                # by step each step is to be judged.
                too_late = entry.like is not None and entry.like[1].near
                out += self.close_bracket(now_ns)
                if too_late and self.reference is not reference:
                    leans = self._lean(entry, now_ns, out)
            if leans:
                return out
        self.queue.append(entry)
        out += self._promote(entry, now_ns)
        return out

    def _lean(self, entry: Entry, now_ns: int, out: list[Command]) -> bool:
        """Have a picture inherit, or end a bracket; return whether it was taken in."""
        reference = self.reference
        if reference is None or not self._may_lean_on(reference):
            return False
        limits = self._limits
        likeness = self._gate.compare(entry.picture, reference.picture)
        entry.like = (reference, likeness)
        # Inheriting must not put off a further view: it may see what the first cannot.
        due = self._turns.is_due(entry.frame.pts_ns, limits.in_turn_every_ns)
        still = likeness.still and self._spans.is_fresh(entry, reference)
        # An audit falls on any frame: whoever could tell which are judged would show
        # something else, again and again, in all the others.
        one_in = limits.audit_one_in if still else limits.audit_between_one_in
        entry.audited = self._audited(entry.frame.seq, one_in)
        if still and not entry.audited and (not due or self._view_rests(entry)):
            entry.still_of = reference
            self.queue.append(entry)
            return True
        if limits.hold_ns and likeness.near and self._spans.holds(entry, reference):
            entry.left = reference
            self.queue.append(entry)
            if due or entry.audited or self._spans.is_used(entry, reference):
                out += self._promote(entry, now_ns)
            return True
        return False

    def arrive_shut(self, now_ns: int, frame: Frame, picture: Picture, reason: Reason) -> Entry:
        """Take in a picture that is covered whatever it shows, and is not looked at."""
        entry = self._entry(now_ns, frame, picture)
        entry.shut = reason
        self.queue.append(entry)
        return entry

    def _entry(self, now_ns: int, frame: Frame, picture: Picture) -> Entry:
        limits = self._limits
        due = frame.arrived_ns + limits.hold_ns
        self._count += 1
        return Entry(
            frame,
            picture,
            self.token(frame.seq),
            self._count,
            now_ns if limits.patient else due,
            None if limits.patient else due + limits.grace_ns,
            self.clock,
        )

    def _may_lean_on(self, reference: Entry) -> bool:
        if reference.shut is not None:
            return False
        return reference.evidence is None or self._vouches(reference)

    # --- asking ---------------------------------------------------------------------------

    def close_bracket(self, now_ns: int) -> list[Command]:
        """Make the newest waiting frame the right end of the others."""
        waiting = [entry for entry in self.queue if entry.is_open]
        return self._promote(waiting[-1], now_ns) if waiting else []

    def _promote(self, entry: Entry, now_ns: int) -> list[Command]:
        """Ask about ``entry``; frames that wait for a right end get it, or are asked too."""
        out: list[Command] = []
        waiting = [other for other in self.queue if other.is_open and other is not entry]
        for other in waiting:
            left = other.left
            bound = (
                left is not None
                and entry.barrier is None
                and self._spans.holds(entry, left)
                and self._are_close(other, entry)
            )
            if bound:
                other.right = entry
            else:
                out += self._ask(other, now_ns)
        out += self._ask(entry, now_ns)
        if entry.asked_ns is not None:
            self.reference = entry
        else:
            # It was dropped for overload: those tied to it must find another end.
            for other in waiting:
                if other.right is entry:
                    other.right = None
        return out

    def _are_close(self, a: Entry, b: Entry) -> bool:
        return a.is_surely_close_to(b) or self._gate.compare(a.picture, b.picture).close

    def _ask(self, entry: Entry, now_ns: int) -> list[Command]:
        # Rather early than as a question of its own before this bracket's successor ends.
        early = self._limits.in_turn_every_ns - self._limits.bracket_span_ns
        further = self._turns.is_due(entry.frame.pts_ns, early)
        if self._too_late(entry, now_ns, len(self._views.every) + further):
            self.queue.remove(entry)
            return [Drop(entry.token, Reason.OVERLOAD)]
        entry.asked_ns = now_ns
        entry.untie()
        self.outstanding[entry.token] = entry
        views = self._views.every
        if further:
            views = (*views, self._turns.take(entry))
        entry.looks = len(views)
        return [Ask(entry.token, views)]

    def _view_rests(self, entry: Entry) -> bool:
        def still(a: Picture, b: Picture) -> bool:
            return self._gate.compare(a, b).still

        def far_below(looked: Entry) -> bool:
            said, permille = looked.evidence, self._limits.vouch_permille
            return said is not None and is_far_below(self._policy, said, permille)

        return self._turns.rests(entry, still, far_below)

    def _too_late(self, entry: Entry, now_ns: int, looks: int) -> bool:
        """Whether a live frame's answer is to be expected later than is to be hoped for."""
        # Where something broke just before a frame, it must not go missing unnoticed. Nor may
        # an audit: whoever knows how fast a busy judge is would have it fall on dropped ones.
        if entry.deadline_ns is None or entry.barrier is not None or entry.audited:
            return False
        hoped_ns = entry.due_ns + self._limits.hoped_ns
        asked = [each.looks for each in self.outstanding.values()]
        return self._load.too_late(now_ns, asked, looks, hoped_ns)

    # --- answers --------------------------------------------------------------------------

    def answer(self, now_ns: int, entry: Entry, evidence: Evidence) -> None:
        """Note what the judge says of a frame that was asked about."""
        del self.outstanding[entry.token]
        entry.evidence = evidence
        self._load.answered(now_ns, entry.asked_ns or 0, entry.looks)

    def answered_in_vain(self, now_ns: int, token: Token) -> bool:
        """Take in an answer that nobody waits for; return whether it was ever asked for."""
        return self._load.answered_in_vain(now_ns, token)

    def judged_as(self, token: Token) -> Entry | None:
        """Return the judged frame of this token, if anything held still rests on it."""
        held = [*self.queue, *(end for e in self.queue for end in (e.still_of, e.left) if end)]
        if self.reference is not None:
            held.append(self.reference)
        return next((e for e in held if e.token == token and e.evidence is not None), None)

    def settle_ties(self, now_ns: int) -> list[Command]:
        """Ask about frames whose tie failed, oldest first; shut those behind a bad frame."""
        out: list[Command] = []
        for entry in list(self.queue):
            if entry.asked_ns is not None or entry.shut is not None:
                continue
            before = entry.still_of or entry.left
            if before is None or self._failed(before):
                # What comes after a frame that is not clear is covered with it, and would
                # be whatever the judge said: only a judged stretch lifts a cover.
                entry.close(Reason.NO_VERDICT)
            elif self._withholds(before) or (entry.right and self._withholds(entry.right)):
                out += self._ask(entry, now_ns)
        return out

    def _failed(self, entry: Entry) -> bool:
        if entry.shut is not None:
            return True
        return entry.evidence is not None and not self._clear(entry)

    def _withholds(self, entry: Entry) -> bool:
        """Whether it is known that others may not inherit from it: they are asked about."""
        answered = entry.evidence is not None or entry.shut is not None
        return answered and not self._vouches(entry)

    def _vouches(self, entry: Entry) -> bool:
        if entry.evidence is None or entry.shut is not None:
            return False
        return vouches(self._policy, entry.evidence, self._limits.vouch_permille)

    def _clear(self, entry: Entry) -> bool:
        if entry.evidence is None or entry.shut is not None:
            return False
        return decide(self._policy, entry.evidence)[0] is Action.RELEASE

    # --- giving up ------------------------------------------------------------------------

    def shut_late_ties(self, now_ns: int) -> None:
        """Cover frames that inherit and had nothing to inherit by their deadline.

        An answer that comes now may be in time for the frame it is about, and must not
        release an elder one that nobody ticked away yet.
        """
        for entry in self.queue:
            tied = entry.asked_ns is None and entry.shut is None
            if tied and entry.is_late(now_ns) and self.outcome(entry) is None:
                entry.close(Reason.NO_VERDICT)

    def judge_gone(self, reason: Reason) -> Entry | None:
        """Cover whatever has no answer yet, void its token; return the first such frame."""
        undecided = [entry for entry in self.queue if self.outcome(entry) is None]
        for entry in undecided:
            entry.close(reason)
        self._forget()
        self._load.judge_gone()
        return undecided[0] if undecided else None

    def drop_all(self, reason: Reason) -> list[Command]:
        """Drop everything held and forget the reference."""
        out: list[Command] = [Drop(entry.token, reason) for entry in self.queue]
        self.queue.clear()
        self._forget()
        return out

    def void(self, token: Token) -> None:
        """Wait no longer for the answer to this question."""
        entry = self.outstanding.pop(token, None)
        if entry is not None:
            self._load.give_up(token, entry.asked_ns or 0, entry.looks)

    def _forget(self) -> None:
        for token in list(self.outstanding):
            self.void(token)
        self.cut_reference()
        # New tokens from here on: an answer to an old question can open nothing.
        self._epoch += 1

    def cut_reference(self) -> None:
        """Frames from here on may not lean on what came before."""
        self.reference = None
        self._turns.forget()

    # --- outcomes, times ------------------------------------------------------------------

    def outcome(self, entry: Entry) -> Result | None:
        """Return what a frame has come to, or None while that is open."""
        if entry.shut is not None:
            return Result(Action.COVER, entry.shut, None, (), None)
        if entry.asked_ns is not None:
            if entry.evidence is None:
                return None
            action, reason = decide(self._policy, entry.evidence)
            scores = entry.evidence if isinstance(entry.evidence, Scores) else None
            if action is not Action.RELEASE:
                return Result(action, reason, None, (), scores)
            own = ((entry.token, entry.evidence),)
            return Result(action, reason, Binding.JUDGED, own, scores)
        if entry.still_of is not None:
            return self._inherited(Binding.STILL, (entry.still_of,))
        if entry.left is not None and entry.right is not None:
            return self._inherited(Binding.BRACKETED, (entry.left, entry.right))
        return None

    def will_close(self) -> bool:
        """Whether the stream is known to close at a frame that has not left yet.

        A frame that arrives now will find it closed, and there only judged frames count.
        """
        return any(e.barrier is not None or self._failed(e) for e in self.queue)

    def clear_run(self) -> tuple[int, int, bool]:
        """Count the judged-clear frames in a row from the head on.

        Returns:
            Their number, the last one's pts in ns, and whether the row may still grow.
        """
        count, last = 0, 0
        for index, entry in enumerate(self.queue):
            if index and entry.barrier is not None:
                return count, last, False
            result = self.outcome(entry)
            if result is None:
                return count, last, True
            if result.binding is not Binding.JUDGED:
                return count, last, False
            count, last = count + 1, entry.frame.pts_ns
        return count, last, not self.ended

    def _inherited(self, binding: Binding, ends: tuple[Entry, ...]) -> Result | None:
        rests_on = tuple((end.token, end.evidence) for end in ends if end.evidence is not None)
        if len(rests_on) != len(ends) or not all(self._vouches(end) for end in ends):
            return None
        # Evidence over time counts it as its ends, by the views of every frame: else what is
        # sampled, and when a cover lifts, would hang on which frames the gate had judged.
        said = [evidence for _, evidence in rests_on if isinstance(evidence, Scores)]
        return Result(Action.RELEASE, Reason.CLEAR, binding, rests_on, for_neighbours(said))

    def wake_ns(self) -> int | None:
        """Return when a bracket must be closed though no frame arrives; None if never."""
        if self._limits.patient:
            return None
        first = next((entry for entry in self.queue if entry.is_open), None)
        return None if first is None else first.frame.arrived_ns + self._limits.bracket_span_ns
