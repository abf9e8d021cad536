"""Which lavfi graphs may run: those made of filters that reach nothing outside the graph.

libav's filters read and write files and open addresses (``movie``, ``metadata``, ``lut3d``,
``zmq`` …), and there are new ones in every version: so those that may be used are listed.
"""

from __future__ import annotations

import re
from typing import Final

from safelight.errors import UsageError

# None of them has an option that names a file or an address.
_NAMES: Final = """
    allrgb allyuv color colorchart colorspectrum gradients mandelbrot nullsrc pal75bars
    pal100bars rgbtestsrc smptebars smptehdbars testsrc testsrc2 yuvtestsrc
    anoisesrc anullsrc sine
    copy crop drawbox drawgrid eq fade format fps framerate hflip hstack hue interlace loop
    negate noise null overlay pad realtime rotate scale setdar setparams setpts setrange
    setsar settb split tile transpose trim vflip vstack
    acopy adelay aformat afade aloop amerge amix anull arealtime aresample asetnsamples
    asetpts asetrate asettb asplit atrim channelmap pan volume concat
"""
FILTERS: Final = frozenset(_NAMES.split())

_LABELS: Final = r"(?:\[[\w:]+\]\s*)*"
_FILTER: Final = re.compile(
    rf"\s*{_LABELS}(?P<name>\w+)(?:@\w+)?\s*(?:=(?P<given>[^\[\]]*))?{_LABELS}", re.ASCII
)
# "/option=FILE" reads an option's value from a file.
_FROM_FILE: Final = re.compile(r"(?:^|:)\s*/")
_HINT: Final = "make it of libav's test sources, for example lavfi:testsrc2=size=640x360"


def check_graph(graph: str) -> None:
    """Check a graph's every filter.

    Raises:
        UsageError: it uses another filter than the listed ones, or is not plainly written.
    """
    if any(sign in graph for sign in "\\'\""):
        raise UsageError("a lavfi graph may hold no quote and no backslash", _HINT)
    for part in re.split("[,;]", graph):
        found = _FILTER.fullmatch(part)
        if found is None or _FROM_FILE.search(found["given"] or ""):
            raise UsageError("the lavfi graph is not plainly written", _HINT)
        if found["name"] not in FILTERS:
            raise UsageError(f"a lavfi graph may not use the filter {found['name']}", _HINT)
