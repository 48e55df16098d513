"""Attributes that cannot be kept: one of every kind we know, with the reason that is given for it."""

from typing import NamedTuple


class Unusable(NamedTuple):
    """The JSON of an attribute, the dotted name that is left out of it, and the reason code."""

    name: str
    value: str
    left_out: str
    reason: str


def unusable() -> list[Unusable]:
    """Return every sample."""
    return [Unusable(*sample) for sample in (*_NUMBERS, *_NAMES, *_DEPTHS)]


_NUMBERS = [
    ("price", "1e999", "price", "field.number_not_finite"),
    ("price", "-1e999", "price", "field.number_not_finite"),
    ("price", "[1, 1e400]", "price", "field.number_not_finite"),
    ("price", '{"net": 1e309}', "price.net", "field.number_not_finite"),
    ("price", '[{"net": 1e309}, {"net": 1}]', "price.net", "field.number_not_finite"),
    ("ean", "9223372036854775808", "ean", "field.number_too_large"),
    ("ean", "-9223372036854775809", "ean", "field.number_too_large"),
    ("ean", str(2**70), "ean", "field.number_too_large"),
]
_NAMES = [
    ("", "1", "", "field.name_invalid"),
    ("ti\x00tle", "1", "ti\x00tle", "field.name_invalid"),
    ("title\n", "1", "title\n", "field.name_invalid"),
    ("n" * 300, "1", "n" * 256, "field.name_invalid"),
    ("brand", '{"": 1}', "brand.", "field.name_invalid"),
    ("brand", '[{"": 1}]', "brand.", "field.name_invalid"),
]
_DEPTHS = [
    ("deep", '{"a":' * 32 + "1" + "}" * 32, "deep" + ".a" * 31, "json.too_deep"),
    ("deep", "[" * 150 + "]" * 150, "deep", "json.too_deep"),
    ("deep", '[{"a":' * 40 + "1" + "}]" * 40, "deep" + ".a" * 31, "json.too_deep"),
]
