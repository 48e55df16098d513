"""A long text as overlapping passages, each about as long as the model reads at once.

Lengths are counted in pieces: up to five ASCII letters or digits, or one other character. On product
texts a piece is about a token of a WordPiece vocabulary, and it is the same for every model, so the cut
(and with it the content hash) does not depend on the model.
"""

import re
from dataclasses import dataclass

_PIECE = re.compile(r"[A-Za-z0-9]{1,5}|[^\sA-Za-z0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How to cut: pieces in a passage, pieces shared by neighbours, passages at most."""

    size: int
    overlap: int
    most: int

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.size:
            raise ValueError("the overlap must be shorter than a passage")
        if self.most < 1:
            raise ValueError("a text has at least one passage")


def cut(text: str, how: Cut) -> list[tuple[int, int]]:
    """Return the passages of `text` as (start, end) in characters; none when there is nothing to read.

    Passages begin and end at words where a word boundary is near, cover every piece in order (up to
    `most` passages), and each begins and ends after the one before it.
    """
    pieces = [match.span() for match in _PIECE.finditer(text)]
    if not pieces:
        return []
    passages: list[tuple[int, int]] = []
    first = last = 0
    while len(passages) < how.most:
        before, last = last, min(first + how.size, len(pieces))
        if last < len(pieces):
            last = _boundary(text, pieces, last, lowest=max(first, before, last - how.size // 8 - 1) + 1)
        passages.append((pieces[first][0], pieces[last - 1][1]))
        if last == len(pieces):
            break
        following = _boundary(text, pieces, last - how.overlap, lowest=first + 1)
        first = max(first + 1, min(following, last))
    return passages


def _boundary(text: str, pieces: list[tuple[int, int]], at: int, *, lowest: int) -> int:
    """Return the last piece at or before `at` (not below `lowest`) that begins a word; else `at`."""
    for index in range(at, lowest - 1, -1):
        if text[pieces[index][0] - 1].isspace():
            return index
    return at
