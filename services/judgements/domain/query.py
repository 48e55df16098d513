"""The normal form of a query: what makes two shoppers' queries the same one."""

import unicodedata

MAX_CHARACTERS = 512


def normalise(text: str) -> str:
    """Return the query as judgements know it; doing it twice changes nothing more.

    Compatibility forms are folded (NFKC), letters are caseless (`str.casefold`), control characters
    and runs of white space become one blank, and what is longer than 512 characters is cut.
    """
    if text.isascii() and text.isprintable():
        return " ".join(text.lower().split())[:MAX_CHARACTERS].rstrip()
    before = None
    while before != text:  # folding may open a composition, and the other way round
        before, text = text, unicodedata.normalize("NFKC", text).casefold()
    printable = "".join(" " if unicodedata.category(letter) in {"Cc", "Cf"} else letter for letter in text)
    cut = " ".join(printable.split())[:MAX_CHARACTERS].rstrip()
    return cut if cut == before else normalise(cut)
