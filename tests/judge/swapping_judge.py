"""A judge process that answers two questions at once, each under the other's token."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tests.judge import stub_judge
from tests.judge.stub_judge import Order, Stub

from safelight.judge.wire import QUESTION_BYTES, pack_answer, parse_question
from safelight.types import Evidence, Token


def swapping_pack(token: Token, evidence: Evidence, views: Sequence[str]) -> bytes:
    if stub_judge._last is not Order.BUSY:
        return pack_answer(token, evidence, views)
    other = parse_question(os.read(stub_judge._channel, QUESTION_BYTES + 1)).token
    os.write(stub_judge._channel, pack_answer(other, evidence, views))
    return pack_answer(token, evidence, views)


if __name__ == "__main__":
    stub_judge.lying_pack = swapping_pack
    stub_judge.run(Stub)
