"""A long text as passages, each as long as the model reads at once, by its own count of tokens.

A passage ends with a paragraph where one ends in its second half, else with a sentence; a sentence that is
longer than a passage is divided at its clauses, then between words, then between letters (Chinese, Japanese
and Thai write no blanks). The first line of the text, its title, stands before every further passage: what
`It is warm and dry` is about is nowhere else.

What is cut is a function of the text, the limits and the tokenizer. A text that fits is one passage and is
not even tokenised where its bytes say that it fits: no tokenizer makes more tokens than bytes.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import NamedTuple
from unicodedata import category

Span = tuple[int, int]
CountTokens = Callable[[Sequence[str]], Sequence[int]]
"""Says how many tokens each of some texts has."""
BYTES_BESIDE = 2
"""So many tokens may a text have beyond its bytes: a mark of where it begins."""
TITLE_SHARE = 4
"""A title longer than this part of a passage is not repeated."""
REMEMBERED = 1024
_CJK = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_PARAGRAPH = re.compile(r"\n+")
_SENTENCE = re.compile(rf"[.!?…]+[\"'”’»)\]]*(?:\s+|(?=[{_CJK}]))|[。｡]+[”’」』)]*\s*")
_CLAUSE = re.compile(rf"[,;:]+(?:\s+|(?=[{_CJK}]))|[、，；：]+\s*")
_WORD = re.compile(r"\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How to cut: tokens in a passage, tokens shared by neighbours, passages at most."""

    size: int
    overlap: int
    most: int

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.size:
            raise ValueError("the overlap must be shorter than a passage")
        if self.most < 1:
            raise ValueError("a text has at least one passage")


class Passages(NamedTuple):
    """What of a text is embedded: (start, end) in characters, and what stands before all but the first."""

    spans: tuple[Span, ...] = ()
    title: str = ""
    left_out: int = 0
    """Characters behind the last passage: more than there may be."""

    def texts(self, text: str) -> list[str]:
        """Return the texts to embed, in order."""
        pieces = [text[start:end] for start, end in self.spans]
        return pieces[:1] + [f"{self.title}\n{piece}" if self.title else piece for piece in pieces[1:]]


class _Unit(NamedTuple):
    """A piece of the text that is not divided further, and its tokens."""

    start: int
    end: int
    tokens: int
    begins: bool
    """Whether a paragraph begins with it."""


class PassageCutter:
    """Cuts texts for one model: `count` is its tokenizer's, `longest` what it reads of a document."""

    def __init__(self, how: Cut, count: CountTokens, *, longest: int) -> None:
        self.how = how
        self._count = count
        self._size = min(how.size, longest)
        self._overlap = min(how.overlap, self._size // 2)
        self._known: OrderedDict[bytes, Passages] = OrderedDict()

    def __call__(self, text: str) -> Passages:
        """Return the passages of a text; none when there is nothing to read."""
        whole = _stripped(text, 0, len(text))
        if whole[0] == whole[1]:
            return Passages()
        size = len(text.encode("utf-8", "replace"))
        if size + BYTES_BESIDE <= self._size:
            return Passages((whole,))
        key = sha256(text.encode("utf-8", "replace")).digest()
        if key not in self._known:
            self._known[key] = self._cut(text, whole)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]

    def _cut(self, text: str, whole: Span) -> Passages:
        if self._count([text[slice(*whole)]])[0] <= self._size:
            return Passages((whole,))
        title = self._title(text, whole)
        further = self._size - (self._count([f"{title}\n"])[0] if title else 0)
        excess = 0
        while True:
            # Some tokenizers make more tokens of a text than of its parts: then there is less room.
            rooms = (max(1, self._size - excess), max(1, further - excess))
            units = self._units(text, whole, rooms[1])
            spans = _packed(units, rooms=rooms, overlap=self._overlap, most=self.how.most)
            passages = Passages(tuple(spans), title, whole[1] - spans[-1][1])
            over = max(self._count(passages.texts(text))) - self._size
            if over <= 0 or rooms[1] == 1:
                return passages
            excess += over

    def _title(self, text: str, whole: Span) -> str:
        """Return the first line, where there are more and it leaves them room."""
        title, more, _ = text[slice(*whole)].partition("\n")
        return title if more and self._count([title])[0] <= self._size // TITLE_SHARE else ""

    def _units(self, text: str, whole: Span, room: int) -> list[_Unit]:
        """Return the sentences in order, and of one that is longer than a passage its parts."""
        paragraphs = _divided(text, whole, _PARAGRAPH)
        begins = {start for start, _ in paragraphs}
        sentences = [span for paragraph in paragraphs for span in _divided(text, paragraph, _SENTENCE)]
        parts = self._counted(text, sentences)
        for divide in (_clauses, _words):
            parts = self._divided(text, parts, room=room, divide=divide)
        while any(tokens > room and end - start > 1 for (start, end), tokens in parts):
            parts = self._divided(text, parts, room=room, divide=_halves)
        return [_Unit(*span, tokens, span[0] in begins) for span, tokens in parts]

    def _divided(
        self,
        text: str,
        parts: list[tuple[Span, int]],
        *,
        room: int,
        divide: Callable[[str, Span], list[Span]],
    ) -> list[tuple[Span, int]]:
        """Return the parts, those divided that are too long."""
        divided: list[tuple[Span, int]] = []
        for span, tokens in parts:
            fits = tokens <= room
            divided += [(span, tokens)] if fits else self._counted(text, divide(text, span))
        return divided

    def _counted(self, text: str, spans: Sequence[Span]) -> list[tuple[Span, int]]:
        return list(zip(spans, self._count([text[start:end] for start, end in spans]), strict=True))


def _packed(units: Sequence[_Unit], *, rooms: tuple[int, int], overlap: int, most: int) -> list[Span]:
    """Fill passages with units: `rooms` are the tokens of the first one, and of each further one."""
    spans: list[Span] = []
    begin = end = 0
    while True:
        end = _end(units, begin, covered=end, room=rooms[bool(spans)])
        spans.append((units[begin].start, units[end - 1].end))
        if end == len(units) or len(spans) == most:
            return spans
        begin = _shared(units, begin, end, room=min(overlap, rooms[1] - units[end].tokens))


def _end(units: Sequence[_Unit], begin: int, *, covered: int, room: int) -> int:
    """Return where a passage ends that begins with a unit: behind those that are `covered` already."""
    end, tokens, paragraph = begin, 0, 0
    while end < len(units) and (end <= covered or tokens + units[end].tokens <= room):
        if units[end].begins and end > covered and 2 * tokens >= room:
            paragraph = end
        tokens += units[end].tokens
        end += 1
    return paragraph if paragraph and end < len(units) and not units[end].begins else end


def _shared(units: Sequence[_Unit], begin: int, end: int, *, room: int) -> int:
    """Return with which unit the passage after it begins: they share sentences of one paragraph."""
    first, tokens = end, 0
    while first - 1 > begin and not units[first].begins and tokens + units[first - 1].tokens <= room:
        first -= 1
        tokens += units[first].tokens
    return first


def _divided(text: str, span: Span, division: "re.Pattern[str]") -> list[Span]:
    """Return what lies between the ends of a division's matches, without blanks around it."""
    start, end = span
    ends = [match.end() for match in division.finditer(text, start, end)]
    pieces = [_stripped(text, *piece) for piece in pairwise((start, *ends, end))]
    return [piece for piece in pieces if piece[0] < piece[1]]


def _clauses(text: str, span: Span) -> list[Span]:
    return _divided(text, span, _CLAUSE)


def _words(text: str, span: Span) -> list[Span]:
    return _divided(text, span, _WORD)


def _halves(text: str, span: Span) -> list[Span]:
    """Return both halves of a word; marks stay with their letter."""
    start, end = span
    middle = (start + end) // 2
    while middle < end - 1 and category(text[middle]).startswith("M"):
        middle += 1
    return [(start, middle), (middle, end)] if start < middle else [span]


def _stripped(text: str, start: int, end: int) -> Span:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end
