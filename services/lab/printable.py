"""Text of others, with what a terminal would obey written out."""

SHOWN = "\n\t"
OBEYED = (
    *(code for code in range(0x20) if chr(code) not in SHOWN),
    *range(0x7F, 0xA0),  # delete, and the control characters of one byte
    *range(0x200E, 0x2010),  # marks of direction
    *range(0x202A, 0x202F),  # embeddings and overrides of it
    *range(0x2066, 0x206A),  # isolates
    *range(0xD800, 0xE000),  # halves of a pair, which cannot be written
)
_ESCAPES = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in OBEYED}


def printable(text: str) -> str:
    """Return the text with what a terminal would obey written as an escape: a backslash and its number."""
    return text.translate(_ESCAPES)
