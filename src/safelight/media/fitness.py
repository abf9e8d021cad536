"""Which pictures can be guarded: their size, and colours that the judge sees as a person does.

Colours go by their ITU-T H.273 numbers.
"""

from __future__ import annotations

from typing import Final

MAX_LONG_SIDE: Final = 7680
MAX_SHORT_SIDE: Final = 4320
MIN_SIDE: Final = 16

# Matrices whose pictures look nearly the same to whoever reads them as another one. With the
# rest (YCgCo, ICtCp, …) the judge would see other colours than a person.
_MATRICES: Final = frozenset({1, 2, 4, 5, 6, 7, 9, 10})

# Transfers that show the numbers as the judge takes them. Under the others (linear 8, log 9
# and 10, PQ 16, SMPTE 428 17, HLG 18, camera logs) a person sees another picture than it does.
_TRANSFERS: Final = frozenset({1, 2, 4, 5, 6, 7, 11, 12, 13, 14, 15})


class UnfitPictureError(ValueError):
    """A picture that cannot be guarded: ``what`` is wrong, ``hint`` says what to do."""

    def __init__(self, what: str, hint: str) -> None:
        self.what = what
        self.hint = hint
        super().__init__(f"{what}: {hint}")


def check_matrix(matrix: int) -> int:
    """Return the matrix.

    Raises:
        UnfitPictureError: the judge would see other colours than a person.
    """
    if matrix not in _MATRICES:
        raise UnfitPictureError(
            f"its colours are stored in an unusual way (H.273 matrix {matrix})",
            "re-encode it with BT.709 colours",
        )
    return matrix


def check_transfer(transfer: int) -> int:
    """Return the transfer.

    Raises:
        UnfitPictureError: HDR, linear or log.
    """
    if transfer not in _TRANSFERS:
        raise UnfitPictureError(
            f"HDR or linear video (H.273 transfer {transfer}) is not judged as it is shown",
            "convert it to SDR (BT.709) first",
        )
    return transfer


def check_size(width: int, height: int) -> None:
    """Check the sides, in pixels.

    Raises:
        UnfitPictureError: too small or too large.
    """
    if min(width, height) < MIN_SIDE:
        raise UnfitPictureError(
            f"pictures of {width}x{height} are too small to be judged",
            f"give at least {MIN_SIDE}x{MIN_SIDE}",
        )
    if max(width, height) > MAX_LONG_SIDE or min(width, height) > MAX_SHORT_SIDE:
        raise UnfitPictureError(
            f"pictures of {width}x{height} are too large",
            f"give at most {MAX_LONG_SIDE}x{MAX_SHORT_SIDE}",
        )
