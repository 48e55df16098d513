"""Numbers that are fitted to one model on one shop, and are void for any other: threshold and weight."""

from collections.abc import Callable, Sequence

STEPS = 20


def threshold(scored: Sequence[tuple[float, bool]], *, beta: float = 1.0) -> float | None:
    """Return the score at and above which products are shown, best by F-beta; None without a right one.

    `scored` are (score, relevant) of judged pairs; `beta` above 1 prefers showing too much (van Rijsbergen
    1979). Every score is tried: the precision-recall curve has no other points.
    """
    total = sum(relevant for _, relevant in scored)
    if not total:
        return None
    best, chosen, right = -1.0, 0.0, 0
    ordered = sorted(scored, key=lambda pair: -pair[0])
    for shown, (score, relevant) in enumerate(ordered, start=1):
        right += relevant
        if shown < len(ordered) and ordered[shown][0] == score:
            continue  # what scores the same is shown together
        value = (1 + beta**2) * right / (beta**2 * total + shown)
        if value > best:
            best, chosen = value, score
    return chosen


def dense_weight(quality: Callable[[float], float]) -> float:
    """Return the weight of 0 .. 1 with the best quality; of equal ones that nearest to one half."""
    weights = [step / STEPS for step in range(STEPS + 1)]
    return max(weights, key=lambda weight: (round(quality(weight), 6), -abs(weight - 0.5)))
