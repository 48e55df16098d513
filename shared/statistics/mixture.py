"""Tests that may be looked at all the time: Robbins' normal mixture, as asymptotic confidence sequences.

Robbins, "Statistical methods related to the law of the iterated logarithm" (1970); Johari et al., "Always
valid inference" (Operations Research 2022); Waudby-Smith et al., "Time-uniform central limit theory and
asymptotic confidence sequences" (Annals of Statistics 2024).
"""

import math

TUNED = 2_000.0
"""The variance of a sum, in units of one term's, at which the sequence is narrowest, roughly."""


def standard_errors(information: float, error: float, *, tuned: float = TUNED) -> float:
    """Return how many standard errors a mean must be from zero, either way, to have excluded it.

    `information` is the number of terms that the mean has; the probability that a sequence without drift is
    ever so far away is at most `error`.
    """
    if information <= 0:
        return math.inf
    ratio = tuned / information
    return math.sqrt((1 + ratio) * (math.log(1 / ratio + 1) - 2 * math.log(error)))


def ratio_evidence(first: int, second: int, share: float) -> float:
    """Return how many times likelier two counts are by any ratio near the stated share than by the share.

    A Bayes factor of a beta prior about `share`, and so a martingale from 1 while the share is true: the
    probability that it ever reaches `1 / error` is at most `error`, without any approximation (Lindon and
    Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022). `share` is of the first.
    """
    from scipy.special import betaln  # noqa: PLC0415 - 0.2 s, for whoever only imports this

    prior, other = _PRIOR * share, _PRIOR * (1 - share)
    logarithm = betaln(prior + first, other + second) - betaln(prior, other)
    logarithm -= first * math.log(share) + second * math.log(1 - share)
    return math.exp(min(float(logarithm), 700.0))


_PRIOR = 100.0
