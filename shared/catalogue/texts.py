"""The text of a product that is embedded, built from configured fields: their words, without markup."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from schemas.base import MAX_TEXT_BYTES, FieldValue
from shared.catalogue.plain_text import plain_text
from shared.catalogue.product_identity import values_of

LABEL = "{"
TEMPLATES = ("{title|name|description}",)
"""What is embedded when nothing is configured. MiniLM ranks best by titles alone: measure before adding."""


class BuiltText(NamedTuple):
    """A text, and how many bytes of it were too many."""

    text: str
    left_out: int = 0


def build_text(fields: Mapping[str, FieldValue], templates: Sequence[str]) -> str:
    """Return the lines of the templates whose fields have a value, in order; cut at 32 KiB of UTF-8.

    A template is a field's name (`title`) or a text around names in braces (`Brand: {brand}`), where
    `{bullets|description}` is the first of them that has a value; one with none is left out. Of each value
    its words count (`plain_text`): a value of several paragraphs has several lines.
    """
    return bounded_text(fields, templates).text


def bounded_text(fields: Mapping[str, FieldValue], templates: Sequence[str]) -> BuiltText:
    """Return what `build_text` does, and say what it had to leave out."""
    lines = (_line(fields, template) for template in templates)
    text = "\n".join(line for line in lines if line)
    if len(text) * 4 <= MAX_TEXT_BYTES:
        return BuiltText(text)
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= MAX_TEXT_BYTES:
        return BuiltText(text)
    return BuiltText(encoded[:MAX_TEXT_BYTES].decode("utf-8", "ignore"), len(encoded) - MAX_TEXT_BYTES)


def named_fields(templates: Sequence[str]) -> tuple[str, ...]:
    """Return the fields that templates name; a product that has none of them has no text."""
    named = (
        (name for _, names in _parts(template) for name in names) if LABEL in template else (template,)
        for template in templates
    )
    return tuple(dict.fromkeys(name.strip() for names in named for name in names if name.strip()))


def whole_text(fields: Mapping[str, FieldValue]) -> str:
    """Return everything that a product says in words, whatever the attribute."""
    return "\n".join(words for value in fields.values() for words in words_in(value))


def words_in(value: FieldValue) -> Iterator[str]:
    """Yield the words of each text of an attribute; numbers and truth values have none."""
    for item in values_of(value):
        if isinstance(item, str) and (words := plain_text(item)):
            yield words


def _line(fields: Mapping[str, FieldValue], template: str) -> str:
    if LABEL not in template:
        return _shown(fields.get(template))
    line = ""
    for literal, names in _parts(template):
        value = _first(fields, names) if names else ""
        if names and not value:
            return ""
        line += literal + value
    return line


def _first(fields: Mapping[str, FieldValue], names: Sequence[str]) -> str:
    for name in names:
        if (shown := _shown(fields.get(name))) != "":
            return shown
    return ""


@lru_cache(maxsize=256)  # a shop has a few
def _parts(template: str) -> list[tuple[str, tuple[str, ...]]]:
    """Split `a {b|c} d` into ("a ", ("b", "c")), (" d", ())."""
    parts: list[tuple[str, tuple[str, ...]]] = []
    for piece in template.split("}"):
        literal, _, names = piece.partition("{")
        parts.append((literal, tuple(name.strip() for name in names.split("|")) if names.strip() else ()))
    return parts


def _shown(value: FieldValue) -> str:
    match value:
        case None:
            return ""
        case str():
            return plain_text(value)
        case bool():
            return "yes" if value else "no"
        case tuple() | list():
            return ", ".join(shown for item in value if (shown := _shown(item)))
        case _:
            return format(value, "g") if isinstance(value, float) else str(value)
