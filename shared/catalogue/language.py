"""Which language a text is in: what the product says, else what its letters say where that is clear."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

from schemas.base import FieldValue
from shared.catalogue.product_identity import first_text

LEAST_CONFIDENCE = 0.6
"""Of the probabilities of all languages; of a title of two words no language has so much."""
MOST_CHARACTERS = 1000
"""Of a text so many are looked at: more say nothing more."""
_OFFERED = """
ar bg bn ca cs da de el en es et eu fa fi fr gl he hi hr hu hy id is it ja ka kk ko lt lv mk ml ms nl nn no pl
pt ro ru sk sl sq sr sv sw ta te th tl tr uk ur vi zh
"""
OFFERED = tuple(_OFFERED.split())
"""Languages that shops write in. Of a short text, each further one makes the others less sure."""
_TAG = re.compile(r"([A-Za-z]{2,3})((?:[-_][A-Za-z0-9]{1,8}){0,7})")


class Languages(Protocol):
    """Says which language a product's text is in."""

    def __call__(self, fields: Mapping[str, FieldValue], text: str) -> str:
        """Return a language tag (BCP 47); empty when nobody can tell."""
        ...


def declared(value: FieldValue) -> str:
    """Return the tag that an attribute holds (`de`, `de_AT`, `zh-Hant`), as it is written; else nothing."""
    tag = _TAG.fullmatch(first_text(value))
    if tag is None:
        return ""
    parts = tag[2].replace("_", "-").split("-")[1:]
    return "-".join((tag[1].lower(), *map(_subtag, parts)))


def _subtag(part: str) -> str:
    if len(part) == 4 and part.isalpha():
        return part.title()
    return part.upper() if len(part) == 2 else part.lower()


class LanguageDetector:
    """The `Languages` of a catalogue: by `attribute`, else by the letters (Lui and Baldwin, langid.py, 2012).

    Making one takes most of a second and some 80 MB.
    """

    def __init__(self, attribute: str) -> None:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415 - reads a large model

        self._attribute = attribute
        self._model: Any = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)  # Any: no types
        self._model.set_languages(OFFERED)

    def __call__(self, fields: Mapping[str, FieldValue], text: str) -> str:
        """Return the tag; some 20 us where the product does not say it."""
        if language := declared(fields.get(self._attribute)):
            return language
        language, confidence = self._model.classify(text[:MOST_CHARACTERS]) if text else ("", 0.0)
        return str(language) if confidence >= LEAST_CONFIDENCE else ""


def unknown(fields: Mapping[str, FieldValue], text: str) -> str:  # noqa: ARG001 - a `Languages`
    """Return that nobody can tell."""
    return ""


@lru_cache(maxsize=1)
def detector(attribute: str) -> LanguageDetector:
    """Return the one of this process (blocking the first time)."""
    return LanguageDetector(attribute)
