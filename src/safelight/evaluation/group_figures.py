"""Figures by group: for whom it fails. One observation is one cluster."""

from __future__ import annotations

from collections import defaultdict

from safelight.evaluation import figures
from safelight.evaluation.checking import Fault
from safelight.evaluation.evaluating import Ran
from safelight.evaluation.figures import Figure
from safelight.evaluation.system_figures import counted

_SAID = {"covered": "had to be covered, and was", "darkened": "benign, and covered"}


def groups(ran: Ran) -> tuple[tuple[Figure, ...], tuple[Fault, ...]]:
    """Return shares by group with their differences, and name every group that is missed.

    One observation is one cluster: covered if every stretch that had to be was, for a
    positive; darkened if any of its items was, for a benign one.
    """
    shares: dict[tuple[str, str, str], dict[str, bool]] = defaultdict(dict)
    for item, g in counted(ran):
        labels = {**item.groups, "age_band": item.age_band, "scene": item.scene}
        for axis, value in sorted(labels.items()):
            if item.is_positive:
                shown = [stretch for stretch in g.stretches if not stretch.dark_before]
                if not shown:
                    continue
                one = shares["covered", axis, value]
                covered = all(stretch.is_covered for stretch in shown)
                one[item.cluster] = one.get(item.cluster, True) and covered
            elif item.is_benign:
                one = shares["darkened", axis, value]
                one[item.cluster] = one.get(item.cluster, False) or g.dark_s > 0
    found: list[Figure] = []
    faults: list[Fault] = []
    for (kind, axis, value), seen in sorted(shares.items()):
        others = [
            hit
            for (k, a, v), rest in sorted(shares.items())
            if (k, a) == (kind, axis) and v != value
            for hit in rest.values()
        ]
        mine = (sum(seen.values()), len(seen))
        name = f"{kind}.{axis}.{value.replace('+', '-plus')}"
        said = f"{_SAID[kind]}: {axis.replace('_', ' ')} {value.replace('_', ' ')}"
        found.append(figures.proportion(name, said, *mine, "clusters"))
        if not others:
            continue
        apart = figures.difference(
            f"{name}.difference",
            f"{said}, minus all others",
            mine,
            (sum(others), len(others)),
            "clusters",
        )
        found.append(apart)
        if kind == "covered" and apart.high is not None and apart.high < 0:
            what = f"{axis} = {value}: {mine[0]} of {mine[1]} clusters covered, of the others"
            faults.append(
                Fault(
                    kind="group missed",
                    item=None,
                    what=f"{what} {sum(others)} of {len(others)}",
                )
            )
    return tuple(found), tuple(faults)
