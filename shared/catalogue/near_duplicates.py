"""Which sets are nearly the same: an exact similarity join, so that none is missed.

Two sets whose Jaccard similarity is at least `t` share one of the `|x| - ceil(t |x|) + 1` rarest members
of each (prefix filtering: Chaudhuri, Ganti and Kaushik, ICDE 2006; Bayardo, Ma and Srikant, WWW 2007).
Only those that do are compared, which are few, and unlike with MinHash none is overlooked.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from math import ceil
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Features = AbstractSet[str]
ROUNDING = 1e-9
"""What a share of a whole number may be off by, as a float."""


def similar(left: Mapping[Key, Features], right: Mapping[Key, Features], threshold: float) -> set[Key]:
    """Return the keys of `left` whose set has, with one of `right`, at least that Jaccard similarity.

    Empty sets are like nothing.
    """
    order = _rarest_first([*left.values(), *right.values()])
    by_feature: defaultdict[str, list[Features]] = defaultdict(list)
    for theirs in right.values():
        for feature in _prefix(theirs, threshold, order):
            by_feature[feature].append(theirs)
    return {
        key
        for key, ours in left.items()
        if any(
            jaccard(ours, theirs) >= threshold
            for feature in _prefix(ours, threshold, order)
            for theirs in by_feature.get(feature, ())
        )
    }


def jaccard(one: Features, other: Features) -> float:
    """Return the share of what both have in what either has; 0 for empty sets."""
    both = len(one & other)
    return both / (len(one) + len(other) - both) if both else 0.0


def _rarest_first(sets: Iterable[Features]) -> Callable[[str], tuple[int, str]]:
    """Return what features are sorted by: how many sets have them, then by the alphabet."""
    frequency = Counter(feature for features in sets for feature in features)
    return lambda feature: (frequency[feature], feature)


def _prefix(features: Features, threshold: float, order: Callable[[str], tuple[int, str]]) -> Sequence[str]:
    needed = ceil(threshold * len(features) - ROUNDING)
    return sorted(features, key=order)[: len(features) - needed + 1] if features else []
