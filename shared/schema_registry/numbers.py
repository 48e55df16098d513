"""Numbers as JSON has them."""

from math import isfinite

import numpy as np
import orjson

UNREADABLE = orjson.Fragment(b"1e999")
"""An attribute that is left out, with a reason, whatever form the message has."""


def as_json(value: float, *, is_short: bool) -> object:
    """Return a number for orjson: of 32 bits by its shortest text, and what is none so that it is refused.

    99.95 in 32 bits is 99.94999694824219 in 64, and no price.
    """
    if not isfinite(value):
        return UNREADABLE
    return float(str(np.float32(value))) if is_short else value
