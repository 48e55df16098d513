"""Grades as files have them, as the whole grades 0 to 3 of the house."""

from collections.abc import Mapping
from decimal import Decimal

from services.loader.domain.money import NumberError, read_number
from shared.errors import ConfigurationError
from shared.retrieval.quality import BEST_GRADE, GAINS, whole_grade

OPTION = "--highest-grade"
SCALERS = "evaluate, simulate and demo"
NAMED_GAINS: Mapping[str, Mapping[int, int]] = {
    "esci": GAINS,
    "exp2": {grade: 2**grade - 1 for grade in range(1, BEST_GRADE + 1)},
    "linear": {grade: grade for grade in range(1, BEST_GRADE + 1)},
}
"""What grades gain in nDCG, by name: as the ESCI paper has it, 2^grade - 1, and the grade itself."""


def read_grade(text: str, highest: float | None = None) -> int:
    """Return the grade that a text states, in any usual form of a number; raises `ValueError` in words.

    With `highest`, the best grade of the data, grades are scaled from 0 .. `highest` to 0 .. 3 and rounded
    half up; without, they are whole and at most 3.
    """
    try:
        stated = read_number(text)
    except NumberError as error:
        raise ValueError(f"a grade is a number, not {ascii(text)[:60]}") from error
    if not 0 <= stated <= (highest or BEST_GRADE):
        best = f"{highest or BEST_GRADE:g}"
        fix = f"{SCALERS} take {OPTION} {stated:g}, and scale it" if stated > 0 else "mend it"
        raise ValueError(f"a grade is 0 to {best}, not {text.strip()}: {fix}")
    if highest is not None:
        return whole_grade(stated * BEST_GRADE / highest)
    if stated != int(stated):
        raise ValueError(
            f"a grade is whole, not {text.strip()}: {SCALERS} take {OPTION} {BEST_GRADE}, and round it"
        )
    return int(stated)


def read_gains(text: str) -> Mapping[int, int]:
    """Return what grades 1, 2 and 3 gain: a name of `NAMED_GAINS`, or three numbers; only ratios count.

    Raises `ConfigurationError`.
    """
    if text in NAMED_GAINS:
        return NAMED_GAINS[text]
    try:
        stated = [
            Decimal(str(read_number(part, "."))) for part in text.replace(";", " ").replace(",", " ").split()
        ]
    except NumberError as error:
        raise _no_gains(text) from error
    if len(stated) != BEST_GRADE or stated != sorted(stated) or not 0 <= stated[0] < stated[-1]:
        raise _no_gains(text)
    unit = min(0, *(int(gain.normalize().as_tuple().exponent) for gain in stated))
    return {grade: int(gain.scaleb(-unit)) for grade, gain in enumerate(stated, start=1)}


def _no_gains(text: str) -> ConfigurationError:
    names = ", ".join(NAMED_GAINS)
    return ConfigurationError(
        f"{ascii(text)[:60]} are no gains: write {names}, or those of grades 1, 2 and 3, such as 1,3,7"
    )
