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
        known, never = self.words, Word(0, 0, number)
        for word, count in counts.items():
            usual, recent, seen = known.get(word, never)
            gone = number - seen
            known[word] = Word(usual * USUAL**gone + count, recent * RECENT**gone + count, number)
        if len(known) > CAPACITY:
            kept = sorted(known, key=lambda word: known[word].seen, reverse=True)[: CAPACITY * 9 // 10]
            self.words = {word: known[word] for word in kept}

    def more_frequent(self, number: int, *, most: int = 5) -> Sequence[str]:
        """Return the words that are surely more frequent now than usually, most surely first.

        By the log-likelihood ratio (Dunning 1993, Accurate methods for the statistics of surprise).
        """
        now = {word: self._at(word, number) for word in self.words}
        recent = sum(word.recent for word in now.values())
        rest = sum(word.usual for word in now.values()) - recent
        if recent <= 0 or rest <= 0:
            return ()
        rated = {
            word: _surprise(known.recent, recent, there=known.usual - known.recent, all_there=rest)
            for word, known in now.items()
            if known.recent >= 1
        }
        best = sorted(rated, key=lambda word: (-rated[word], word))
        return tuple(word for word in best[:most] if rated[word] >= SURE)

    def _at(self, word: str, number: int) -> Word:
        """Return the counts as of a later window."""
        usual, recent, seen = self.words[word]
        gone = max(0, number - seen)
        return Word(usual * USUAL**gone, recent * RECENT**gone, number)


def _surprise(here: float, all_here: float, *, there: float, all_there: float) -> float:
    """Return the log-likelihood ratio when the word is more frequent here, else 0."""
    share = (here + there) / (all_here + all_there)
    if here <= share * all_here:
        return 0.0
    parts = ((here, share * all_here), (there, share * all_there))
    return 2 * sum(seen * log(seen / expected) for seen, expected in parts if seen > 0 and expected > 0)
