"""The normal form of a query: what makes two shoppers' queries the same one.

Judgements are keyed and partitioned by it, so it must go on returning what it returns
(`tests/data/text_forms.json`). What asks whether two queries are *nearly* the same compares
`words.canonical` instead.
"""

import unicodedata

from shared.catalogue.words import fold

MAX_CHARACTERS = 512


def normalise(text: str) -> str:
    """Return the query as judgements know it; doing it twice changes nothing more.

    Compatibility forms are folded (NFKC), letters are caseless (`str.casefold`), control characters
    and runs of white space become one blank, and what is longer than 512 characters is cut.
    """
    if text.isascii() and text.isprintable():
        return " ".join(text.lower().split())[:MAX_CHARACTERS].rstrip()
    folded = fold(text, keep_accents=True)
    printable = "".join(" " if unicodedata.category(letter) in {"Cc", "Cf"} else letter for letter in folded)
    cut = " ".join(printable.split())[:MAX_CHARACTERS].rstrip()
    return cut if cut == folded else normalise(cut)  # without a control character it may compose anew
