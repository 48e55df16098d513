"""What a value says in words: without markup, addresses, and what nobody sees.

The stored attributes stay as they came. Their words, for the embedding model and for BM25, in serving,
training and evaluation, are what `plain_text` makes of them. It is a function of the value alone, and doing
it twice changes nothing more.

Only markup is taken for markup: `5 < 6` and `a<b>c` say what they say, because a tag that is never closed is
one only where HTML lets it stay open (`<p>`, `<br>`). A `<` that begins no element of HTML is a letter.
"""

import re
from html import unescape
from re import Match
from unicodedata import category, normalize

from selectolax.lexbor import LexborHTMLParser

LAYERS = 8
"""Markup within entities within entities: nobody writes more, and who does costs no more than this."""
_ALONE = """
area base br col embed hr img input link meta param source track wbr
p li dt dd td th tr thead tbody tfoot option html body !-- !doctype
"""
_PARAGRAPHS = """
address article aside blockquote br caption center dd details div dl dt fieldset figcaption figure footer form
h1 h2 h3 h4 h5 h6 header hr legend li main nav ol option p pre section summary table tr ul
"""
_WITHIN = """
a abbr audio b bdi bdo big canvas cite code colgroup data del dfn em font i ins kbd map mark picture q s samp
small span strike strong sub sup time title tt u var video
"""
_UNREAD = "script style template noscript iframe object svg head select textarea"
_NO_WORDS = _UNREAD.split()
_CELL = frozenset({"button", "label", "td", "th"})
_PARAGRAPH = frozenset(_PARAGRAPHS.split())
_STANDS_ALONE = frozenset(_ALONE.split())
_ELEMENTS = frozenset({*_STANDS_ALONE, *_PARAGRAPH, *_CELL, *_NO_WORDS, *_WITHIN.split()})
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9:-]*|!--|!doctype\b)((?:[\s/][^<>]*)?>)?|<", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ADDRESS = re.compile(
    r"(?:(?<![A-Za-z0-9])(?:(?:https?|ftp)://|www\.(?=[\w-]+\.)|(?:mailto|tel):)|(?<![!-~])//(?=[\w-]+\.))[!-;=?-~]+"
    r"|(?<![\w.%+-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}\b"
    r"|(?<![!-~])[!-~]{1,2048}\.(?:png|jpe?g|gif|webp|svg|avif|bmp|tiff?)(?:[?#][!-~]*)?(?![!-~])",
    re.IGNORECASE,
)
_MARKS_OF_ADDRESSES = (
    *("//", "@", "www.", "mailto:", "tel:"),
    *(".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".avif", ".bmp", ".tif"),
)
"""Every address has one of them."""
_MAY_HAVE_ADDRESS = re.compile("|".join(map(re.escape, _MARKS_OF_ADDRESSES)), re.IGNORECASE)
_MARKS = re.compile("[™℠®©]")
"""What NFKC would make a part of the word before it: `Gore-TexTM`."""
_UNSEEN = frozenset({"Cc", "Cf", "Cs"})
_FRACTION = re.compile("(?<=[0-9])(?=[¼-¾⅐-⅞])")
_BLANKS = re.compile(r"[^\S\n]{2,}|[^\S\n ]")
_LINES = re.compile(r" ?\n[ \n]*")
_PLAIN = re.compile(r"[ -%'-;=?A-~]*")
"""Printable ASCII without `<`, `>`, `&` and `@`."""


def plain_text(value: str) -> str:
    """Return what a value says: a line a paragraph, single blanks, compatibility forms folded (NFKC)."""
    if _PLAIN.fullmatch(value) and not _may_have_address(value):
        return _without_runs(value)
    text = normal_form(value)
    for _ in range(LAYERS):
        opened = _opened(text)
        if opened == text:
            break
        text = normal_form(opened)
    return text


def normal_form(text: str) -> str:
    """Return a text in the form that words are compared in: NFKC, without what nobody sees, single blanks."""
    if not text.isascii():
        text = _FRACTION.sub(" ", _MARKS.sub(" ", text))
        text = normalize("NFKC", text).replace("\N{FRACTION SLASH}", "/")
    if not "".join(text.split()).isprintable():
        text = "".join(letter for letter in text if letter.isspace() or category(letter) not in _UNSEEN)
    return _without_runs(text)


def is_markup(text: str) -> bool:
    """Whether a text is written in HTML: it has a tag that may stand alone, or one that is closed again."""
    if "<" not in text:
        return False
    opened, closed = set[str](), set[str]()
    for tag in _TAG.finditer(text):
        if (name := _element(tag)) in _STANDS_ALONE:
            return True
        (closed if tag[1] else opened).add(name)
    return not opened.isdisjoint(closed - {""})


def _element(tag: Match[str]) -> str:
    """Return the element of a tag, in small letters; empty when it is none."""
    name = (tag[2] or "").lower()
    if name.startswith("!"):
        return name
    # A name with a mark in it is one of Word's or of a web component: `<o:p>`, `<g-emoji>`.
    return name if tag[3] and (name in _ELEMENTS or ":" in name or "-" in name) else ""


def _opened(text: str) -> str:
    """Return the text without its outermost layer of markup or entities, and without addresses."""
    if is_markup(text):
        text = _without_markup(text)
    elif "&" in text:
        text = _ENTITY.sub(lambda entity: unescape(entity.group()), text)
    return _ADDRESS.sub(" ", text) if _may_have_address(text) else text


def _may_have_address(text: str) -> bool:
    if "." not in text and ":" not in text and "/" not in text and "@" not in text:
        return False
    if not text.isascii():
        return _MAY_HAVE_ADDRESS.search(text) is not None
    small = text.lower()  # a third of the time that the expression takes
    for mark in _MARKS_OF_ADDRESSES:  # noqa: SIM110 - a generator takes as long again
        if mark in small:
            return True
    return False


def _without_markup(text: str) -> str:
    tree = LexborHTMLParser(_TAG.sub(_laid_out, " ".join(text.split())))
    tree.strip_tags(_NO_WORDS)
    root = tree.body or tree.root
    return "" if root is None else root.text(deep=True)


def _laid_out(tag: Match[str]) -> str:
    """Return a tag behind the white space that it stands for; what is none, as a letter."""
    name = _element(tag)
    if not name:
        return "&lt;" + tag[0][1:]
    return ("\n" if name in _PARAGRAPH else " " if name in _CELL else "") + tag[0]


def _without_runs(text: str) -> str:
    if "  " not in text and text.isprintable():
        return text.strip()
    return _LINES.sub("\n", _BLANKS.sub(" ", text)).strip()
