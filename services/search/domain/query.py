"""The text of a query, before it is searched with."""


def clean(text: str) -> str:
    """Return the query without control characters, its runs of white space made one blank."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
