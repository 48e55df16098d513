"""The words of a text, and the form in which two texts are plainly the same.

All are functions of one text alone, so what is decided by them (on which side of a split a query lies) is
decided for ever: `tests/data/text_forms.json` holds what they must go on returning.
"""

import re
import unicodedata
from functools import lru_cache

_BETWEEN = re.compile(r"[^0-9a-z]+")
_STOP_WORDS = """
a an and at by for from in is of on or the to with
der die das den dem ein eine einer und oder mit fur von zu im am auf
le la les un une des du de et ou pour avec sur au aux
el los las y o para con en por del al il lo gli e di da per su
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Articles, prepositions and conjunctions in English, German, French, Spanish, Italian; not `without`."""
PLURALS = (("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"), ("s", ""))
NO_PLURALS = ("ss", "us", "is")


def fold(text: str, *, keep_accents: bool) -> str:
    """Return the text with compatibility forms and case folded, accents as well unless they are kept.

    It is folded until nothing changes any more: folding may open a composition, and the other way round.
    """
    before = None
    while before != text:
        before, text = text, _folded_once(text, keep_accents=keep_accents)
    return text


def words_of(text: str) -> tuple[str, ...]:
    """Return a text's words: compatibility forms, case and accents folded, punctuation gone."""
    if text.isascii():
        return tuple(_BETWEEN.sub(" ", text.lower()).split())
    plain = fold(text, keep_accents=False)
    return tuple("".join(letter if letter.isalnum() else " " for letter in plain).split())


@lru_cache(maxsize=1 << 18)
def canonical(text: str) -> str:
    """Return the words in order of the alphabet, each once, singular, without those that say nothing.

    Of a text of nothing but such words, all are kept. Doing it twice changes nothing more.
    """
    return " ".join(sorted(telling_words(text)))


def telling_words(text: str) -> frozenset[str]:
    """Return the words, singular, without those that say nothing; of nothing but such words, all."""
    words = words_of(text)
    telling = frozenset(map(_singular, words)) - STOP_WORDS
    return telling or frozenset(words)


def covered(query: frozenset[str], text: frozenset[str]) -> float:
    """Return the share of a query's telling words that a text has; 1 when the query has no word at all."""
    return len(query & text) / len(query) if query else 1.0


def trigrams(text: str) -> frozenset[str]:
    """Return what trigrams a text has, with a blank before and after."""
    padded = f" {text} "
    return frozenset(padded[at : at + 3] for at in range(len(padded) - 2))


@lru_cache(maxsize=1 << 16)
def _singular(word: str) -> str:
    """Fold plurals (after Harman's S stemmer, "How effective is suffixing?", JASIS 1991)."""
    if len(word) <= 3 or word.endswith(NO_PLURALS):
        return word
    for ending, instead in PLURALS:
        if word.endswith(ending):
            return word.removesuffix(ending) + instead
    return word


def _folded_once(text: str, *, keep_accents: bool) -> str:
    if not keep_accents:
        opened = unicodedata.normalize("NFKD", text)
        text = "".join(letter for letter in opened if not unicodedata.combining(letter))
    return unicodedata.normalize("NFKC", text).casefold()
