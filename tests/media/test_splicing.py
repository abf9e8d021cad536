"""Copy mode's order: nothing is passed on that refers to a picture that did not leave so."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.media.test_h264 import SETS

from safelight.media.coded import CodedPicture
from safelight.media.splicing import Shown, Splicer
from safelight.types import Picture, PictureFormat

PICTURE = Picture(
    PictureFormat(16, 16), np.zeros((16, 16), np.uint8), *(np.zeros((8, 8), np.uint8),) * 2
)


def coded(index: int, pts: int, *, idr: bool, is_reference: bool = True) -> CodedPicture:
    return CodedPicture(index, idr, is_reference, pts, pts, 1, Fraction(1), b"", SETS)


def shown(pts: int, how: CodedPicture | None, shift: int = 0) -> Shown:
    return Shown(PICTURE, Fraction(pts), Fraction(shift), how)


@dataclass
class Log:
    copied: list[int] = field(default_factory=list)  # index
    encoded: list[int] = field(default_factory=list)  # pts
    told: list[tuple[str, int, bool]] = field(default_factory=list)

    def splicer(self, stream: Iterable[CodedPicture] = ()) -> Splicer:
        """``stream``: what a source made, whole; it may know more than comes to leave."""
        places = {one.index: one.place for one in stream}

        def copy(one: Shown, how: CodedPicture) -> None:
            self.copied.append(how.index)
            self.told.append(("copy", int(one.out), how.idr))

        def encode(one: Shown, fresh: bool) -> None:
            self.encoded.append(int(one.out))
            self.told.append(("encode", int(one.out), fresh))

        return Splicer(copy, encode, places.get)


def groups(sizes: list[int], swaps: list[int]) -> list[CodedPicture]:
    """Groups of pictures in the order of decoding; a swap shows one after up to three others."""
    found = []
    at = 0
    for size in sizes:
        order = list(range(size))
        for swap in swaps:
            reach = 1 + swap % 3
            first = 1 + swap % max(1, size)
            if first + reach < size:
                # The later one is decoded first, as what lies between refers to it.
                order.insert(first, order.pop(first + reach))
        found += [coded(at + n, at + pts, idr=n == 0) for n, pts in enumerate(order)]
        at += size
    return found


def test_a_whole_stream_is_passed_on_in_the_order_of_decoding() -> None:
    log = Log()
    splicer = log.splicer()
    stream = groups([6, 6], [0, 4])
    for one in sorted(stream, key=lambda c: c.pts):
        splicer.push(shown(one.pts, one))
    splicer.settle()
    assert log.copied == list(range(12))
    assert log.encoded == []


def test_from_a_card_on_all_is_encoded_until_the_next_idr_picture() -> None:
    log = Log()
    splicer = log.splicer()
    for one in groups([4, 4], []):
        splicer.push(shown(one.pts, None if one.pts == 1 else one))
    splicer.settle()
    assert log.told == [
        ("copy", 0, True),
        ("encode", 1, True),
        ("encode", 2, False),
        ("encode", 3, False),
        ("copy", 4, True),
        ("copy", 5, False),
        ("copy", 6, False),
        ("copy", 7, False),
    ]


def test_what_is_late_is_left_out_only_where_it_would_be_encoded_behind_another() -> None:
    log = Log()
    splicer = log.splicer()
    left = [
        splicer.push(shown(one.pts, None if one.pts in {2, 3} else one), late=one.pts > 0)
        for one in groups([6, 4], [])
    ]
    splicer.settle()
    # The first after others' pictures leaves all the same, as it refers to nothing; what comes
    # from the next IDR picture on is passed on, late as it is.
    assert log.told == [
        ("copy", 0, True),
        ("copy", 1, False),
        ("encode", 2, True),
        *(("copy", pts, pts == 6) for pts in range(6, 10)),
    ]
    assert left == [True] * 3 + [False] * 3 + [True] * 4


# Decoded: the last of four, then the three shown before it; nothing refers to the 2nd and 4th.
LAYERED = [
    coded(0, 0, idr=True),
    coded(1, 4, idr=False),
    coded(2, 2, idr=False),
    coded(3, 1, idr=False, is_reference=False),
    coded(4, 3, idr=False, is_reference=False),
    coded(5, 8, idr=False),
    coded(6, 6, idr=False),
    coded(7, 5, idr=False, is_reference=False),
    coded(8, 7, idr=False, is_reference=False),
]


def run_without(dropped: set[int], until: int = 8) -> Log:
    log = Log()
    splicer = log.splicer(LAYERED)
    for one in sorted(LAYERED, key=lambda c: c.pts):
        if one.pts not in dropped and one.pts <= until:
            splicer.push(shown(one.pts, one))
    return log


def test_what_nothing_refers_to_may_be_dropped() -> None:
    log = run_without({1, 7})
    assert log.copied == [0, 1, 2, 4, 5, 6, 7]
    assert log.encoded == []


def test_behind_a_dropped_reference_picture_nothing_is_passed_on() -> None:
    log = run_without({4})
    assert log.copied == [0]
    assert log.encoded == [1, 2, 3, 5, 6, 7, 8]
    # Known from the next that is shown: what waited for it leaves then, not a second later.
    assert run_without({4}, until=5).encoded == [1, 2, 3, 5]
    assert run_without({4}, until=3).encoded == []


def test_one_dropped_while_what_refers_to_it_waits() -> None:
    log = run_without({2})
    assert log.copied == [0]  # the fourth would leave before those that are shown before it
    assert log.encoded == [1, 3, 4, 5, 6, 7, 8]


def test_what_did_not_come_whole_is_not_taken_for_dropped() -> None:
    """Nobody knows whether others refer to it."""
    log = Log()
    splicer = log.splicer(one for one in LAYERED if one.pts != 1)
    for one in sorted(LAYERED, key=lambda c: c.pts):
        if one.pts != 1:
            splicer.push(shown(one.pts, one))
    splicer.settle()
    assert 4 not in log.copied  # decoded right behind it
    assert log.encoded[-1] == 8


def test_a_jump_of_the_clock_waits_for_an_idr_picture() -> None:
    log = Log()
    splicer = log.splicer()
    for one in groups([6], []):
        splicer.push(shown(one.pts, one, shift=0 if one.pts < 3 else 5))
    splicer.settle()
    assert log.copied == [0, 1, 2]
    assert log.encoded == [3, 4, 5]


def test_a_packet_whose_turn_is_over_is_encoded() -> None:
    log = Log()
    splicer = log.splicer()
    splicer.push(shown(0, coded(0, 0, idr=True)))
    splicer.push(shown(1, coded(0, 1, idr=False)))
    assert log.copied == [0]
    assert log.encoded == [1]


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=5),
    st.lists(st.integers(0, 30), max_size=6),
    st.sets(st.integers(0, 60)),
    st.sets(st.integers(0, 60)),
    st.sets(st.integers(0, 60)),
    st.sets(st.integers(0, 60)),
)
def test_whatever_is_missing_no_picture_refers_to_what_did_not_leave(  # noqa: PLR0917
    sizes: list[int],
    swaps: list[int],
    cards: set[int],
    dropped: set[int],
    damaged: set[int],
    leaves: set[int],
) -> None:
    stream = [
        dataclasses.replace(one, is_reference=one.idr or one.index not in leaves)
        for one in groups(sizes, swaps)
    ]
    log = Log()
    splicer = log.splicer(one for one in stream if one.index not in damaged)
    pushed = []
    for one in sorted(stream, key=lambda c: c.pts):
        if one.pts in dropped:
            continue
        whole = one.pts not in cards and one.index not in damaged
        pushed.append(one.pts)
        splicer.push(shown(one.pts, one if whole else None))
    splicer.settle()

    by_index = {one.index: one for one in stream}
    # Each was decoded behind the one before it, back to an IDR picture; between them is at most
    # what was dropped, came whole, and is referred to by none.
    before: int | None = None
    for index in log.copied:
        one = by_index[index]
        assert one.idr or before is not None
        for between in () if before is None or one.idr else range(before + 1, index):
            missing = by_index[between]
            assert missing.pts in dropped
            assert between not in damaged
            assert not missing.is_reference
        assert one.pts not in cards | dropped
        assert index not in damaged
        before = index
    # The first that is encoded after a copy, or at all, refers to nothing.
    last = "copy"
    for what, _, flag in log.told:
        if what == "encode":
            assert flag == (last == "copy")
        last = what
    # After something was encoded, only an IDR picture is passed on.
    kinds = list(zip(log.told, log.told[1:], strict=False))
    assert all(flag for (was, _, _), (what, _, flag) in kinds if (was, what) == ("encode", "copy"))
    # Nothing leaves twice, nothing that was not shown; what is shown leaves.
    left = [pts for _, pts, _ in log.told]
    assert len(left) == len(set(left))
    assert set(left) <= set(pushed)
    assert sorted(left) == pushed
    # Nothing is encoded that is shown before what has left already.
    for at, (what, pts, _) in enumerate(log.told):
        assert what == "copy" or all(before < pts for _, before, _ in log.told[:at])
