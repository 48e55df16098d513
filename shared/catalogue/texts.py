"""The text of a product that is embedded, built from configured fields."""

from collections.abc import Mapping, Sequence

from schemas.base import MAX_TEXT_BYTES, FieldValue
from shared.catalogue.product_identity import values_of

LABEL = "{"
TEMPLATES = ("{title|name|description}",)
"""What is embedded when nothing is configured. MiniLM ranks best by titles alone: measure before adding."""


def build_text(fields: Mapping[str, FieldValue], templates: Sequence[str]) -> str:
    """Return one line a template whose fields have a value, in order; cut at 32 KiB of UTF-8.

    A template is a field's name (`title`) or a text around names in braces (`Brand: {brand}`), where
    `{bullets|description}` is the first of them that has a value; a line with none is left out.
    """
    lines = (_line(fields, template) for template in templates)
    return _bounded("\n".join(line for line in lines if line))


def whole_text(fields: Mapping[str, FieldValue]) -> str:
    """Return everything that a product says in words, whatever the attribute."""
    values = (value for of_field in fields.values() for value in values_of(of_field))
    return "\n".join(value for value in values if isinstance(value, str))


def _line(fields: Mapping[str, FieldValue], template: str) -> str:
    if LABEL not in template:
        return _shown(fields.get(template))
    line = ""
    for literal, name in _parts(template):
        value = _first(fields, name) if name else ""
        if name and not value:
            return ""
        line += literal + value
    return line


def _first(fields: Mapping[str, FieldValue], names: str) -> str:
    return next((shown for name in names.split("|") if (shown := _shown(fields.get(name.strip())))), "")


def _parts(template: str) -> list[tuple[str, str]]:
    """Split `a {b} c` into ("a ", "b"), (" c", "")."""
    parts: list[tuple[str, str]] = []
    for piece in template.split("}"):
        literal, _, name = piece.partition("{")
        parts.append((literal, name.strip()))
    return parts


def _shown(value: FieldValue) -> str:
    match value:
        case None:
            return ""
        case str():
            return value.strip()
        case bool():
            return "yes" if value else "no"
        case tuple() | list():
            return ", ".join(shown for item in value if (shown := _shown(item)))
        case _:
            return format(value, "g") if isinstance(value, float) else str(value)


def _bounded(text: str) -> str:
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= MAX_TEXT_BYTES:
        return text
    return encoded[:MAX_TEXT_BYTES].decode("utf-8", "ignore")
