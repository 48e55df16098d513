"""Which words (or segments) there usually are, which there are now, and which were never seen."""

from collections.abc import Iterable, Mapping, Sequence
from math import log
from typing import NamedTuple

CAPACITY = 50_000
"""Words remembered; those not seen for longest leave first: a word of yesterday is not new."""
RECENT = 0.85
"""What a count is worth a window later, among the recent ones: half after four."""
USUAL = 0.997
"""Among the usual ones: half after 231 windows."""
SURE = 10.8
"""Dunning's log-likelihood ratio at which a word is surely more frequent: chi square, one in 1,000."""


class Word(NamedTuple):
    """Decayed counts of one word, as of window `seen`."""

    usual: float
    recent: float
    seen: int


class Lexicon:
    """Words with their counts; `forget` is the number of windows after which a word is new again."""

    def __init__(self, forget: int, words: Mapping[str, Word] | None = None) -> None:
        self._forget = forget
        self.words = dict(words or {})

    def unknown(self, words: Iterable[str], number: int) -> int:
        """Return how many of the words were not seen in the last `forget` windows."""
        oldest, never = number - self._forget, Word(0, 0, number - self._forget - 1)
        return sum(self.words.get(word, never).seen < oldest for word in words)

    def add(self, counts: Mapping[str, int], number: int) -> None:
        """Count the words of a window."""
        words, never = self.words, Word(0, 0, number)
        for word, count in counts.items():
            usual, recent, seen = words.get(word, never)
            age = number - seen
            words[word] = Word(usual * USUAL**age + count, recent * RECENT**age + count, number)
        if len(words) > CAPACITY:
            # A tenth at once: sorting 50,000 words for each new one would cost more than all else.
            kept = sorted(words, key=lambda word: words[word].seen, reverse=True)[: CAPACITY * 9 // 10]
            self.words = {word: words[word] for word in kept}

    def more_frequent(self, number: int, *, most: int = 5) -> Sequence[str]:
        """Return the words that are surely more frequent now than usually, most surely first.

        By the log-likelihood ratio (Dunning 1993, Accurate methods for the statistics of surprise).
        """
        counts = {word: self._decayed(word, number) for word in self.words}
        recent = sum(count.recent for count in counts.values())
        rest = sum(count.usual for count in counts.values()) - recent
        if recent <= 0 or rest <= 0:
            return ()
        ratios = {
            word: _log_likelihood_ratio(count.recent, recent, rest=count.usual - count.recent, all_rest=rest)
            for word, count in counts.items()
            if count.recent >= 1
        }
        best = sorted(ratios, key=lambda word: (-ratios[word], word))
        return tuple(word for word in best[:most] if ratios[word] >= SURE)

    def _decayed(self, word: str, number: int) -> Word:
        """Return the counts as of a later window."""
        usual, recent, seen = self.words[word]
        age = max(0, number - seen)
        return Word(usual * USUAL**age, recent * RECENT**age, number)


def _log_likelihood_ratio(recent: float, all_recent: float, *, rest: float, all_rest: float) -> float:
    """Return the log-likelihood ratio when the word is more frequent among the recent ones, else 0."""
    share = (recent + rest) / (all_recent + all_rest)
    if recent <= share * all_recent:
        return 0.0
    cells = ((recent, share * all_recent), (rest, share * all_rest))
    return 2 * sum(seen * log(seen / expected) for seen, expected in cells if seen > 0 and expected > 0)
