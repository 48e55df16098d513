"""Redis answers in bytes, unless somebody's client decodes: one form for both."""


def raw(value: bytes | str) -> bytes:
    """Return the bytes of a reply."""
    return value.encode() if isinstance(value, str) else value


def text(value: bytes | str) -> str:
    """Return the text of a reply."""
    return value.decode() if isinstance(value, bytes) else value
