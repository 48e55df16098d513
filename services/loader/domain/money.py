"""Numbers and prices in any usual form, by stated rules; what can be read in two ways is told, not guessed.

1. A currency is before or behind it, three capital letters or a symbol: `EUR 12,50`, `$1,299.00`.
2. Of two kinds of separators the later one is the decimal one: `1.299,00`, `1,299.00`, `1'299.50`.
3. A separator that comes more than once, or a space or apostrophe, separates thousands: `1.299.000`.
4. One comma or point alone is the decimal one: `12,5`, `0.999`. With exactly three digits behind it, and one
   to three before it that do not begin with 0, it may be either (`1.299`): the other prices of the file
   decide, or who loads it.
"""

import re
from typing import NamedTuple

from services.loader.domain.rows import visible

_SYMBOLS = (
    "€=EUR £=GBP ₹=INR ₽=RUB ₺=TRY ₩=KRW ₪=ILS ₴=UAH zł=PLN Kč=CZK Ft=HUF лв=BGN R$=BRL CHF=CHF "
    "Fr.=CHF US$=USD A$=AUD C$=CAD CA$=CAD NZ$=NZD HK$=HKD S$=SGD"
)
SYMBOLS = dict(pair.split("=") for pair in _SYMBOLS.split())
"""What stands for one currency. `$`, `¥` and `kr` are several's, and stay as they are written."""
SHARED = ("$", "¥", "kr", "kr.")
LONGEST = 40

_SPACE = "[ \u00a0\u202f\u2009'’]"
_MONEY = re.compile(
    rf"(?P<before>[^\d\s+.,'’-]{{1,4}}\.?)?\s*(?P<number>[+-]?(?:\d(?:[\d.,]|{_SPACE}(?=\d))*|[.,]\d+))"
    r"(?<![.,])(?:[.,]?[-–—]{1,2})?\s*(?P<behind>[^\d\s+,'’-]{1,4})?"
)
_CODE = re.compile("[A-Z]{3}")
_SPACED = re.compile(rf"\d{{1,3}}(?:{_SPACE}\d{{3}})+(?:[.,]\d+)?")
_GROUPED = re.compile(r"\d{1,3}(?P<by>[.,])(?:\d{2,3}(?P=by))*\d{3}(?:(?!(?P=by))[.,]\d+)?")
_SINGLE = re.compile(r"\d*[.,]\d+")


class Money(NamedTuple):
    """An amount, and its currency as an ISO 4217 code or as it is written; empty: none is."""

    amount: float | int
    currency: str


class NumberError(ValueError):
    """A text is no number, or two: `reason` is `number.invalid` or `number.ambiguous`."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(f"{reason}: {fix}")
        self.reason = reason
        self.fix = fix


def read_money(text: str, decimal: str = "") -> Money:
    """Return the price that a text states; `decimal` is the separator where a number has one only.

    Raises `NumberError`.
    """
    match = _MONEY.fullmatch(text.strip()) if len(text) <= LONGEST else None
    named = [] if match is None else [part for part in (match["before"], match["behind"]) if part]
    if match is None or len(named) > 1:
        raise _invalid(text)
    return Money(_number(match["number"].strip(), text, decimal), _currency(named[0], text) if named else "")


def read_number(text: str, decimal: str = "") -> float | int:
    """Return the number that a text states, and nothing beside it; raises `NumberError`."""
    money = read_money(text, decimal)
    if money.currency:
        raise _invalid(text)
    return money.amount


def decimal_of(text: str) -> str:
    """Return the separator that must be a number's decimal one; empty: it may be either, or there is none."""
    match = _MONEY.fullmatch(text.strip())
    return "" if match is None else _decimal(match["number"].lstrip("+-"))


def _decimal(digits: str) -> str:
    marks = [letter for letter in digits if letter in ".,"]
    if len(set(marks)) == 2:
        return marks[-1]
    if len(marks) > 1:  # they separate thousands
        return "," if marks[0] == "." else "."
    if not marks or _may_be_thousands(digits):
        return ""
    return marks[0]


def _may_be_thousands(digits: str) -> bool:
    """Whether the only separator may be one of thousands: `1.299`, but neither `0.999` nor `1299.000`."""
    return re.fullmatch(r"[1-9]\d{0,2}[.,]\d{3}", digits) is not None


def _number(signed: str, text: str, decimal: str) -> float | int:
    digits = signed.lstrip("+-")
    if _SPACED.fullmatch(digits):
        digits = re.sub(_SPACE, "", digits)
    elif not (digits.isdigit() or _GROUPED.fullmatch(digits) or _SINGLE.fullmatch(digits)):
        raise _invalid(text)
    elif _may_be_thousands(digits) and not decimal:
        thousands, fraction = re.sub("[.,]", "", digits), digits.replace(",", ".")
        fix = f"{visible(text)} may be {thousands} or {fraction}: say which with --decimal . or --decimal ,"
        raise NumberError("number.ambiguous", fix)
    separator = _decimal(digits) or decimal
    plain = "".join(letter for letter in digits if letter.isdigit() or letter == separator)
    plain = ("-" if signed.startswith("-") else "") + plain.replace(",", ".")
    return float(plain) if "." in plain else int(plain)


def _currency(name: str, text: str) -> str:
    if _CODE.fullmatch(name) or name in SHARED:
        return name.removesuffix(".")
    if (code := SYMBOLS.get(name) or SYMBOLS.get(name.removesuffix("."))) is not None:
        return code
    raise _invalid(text)


def _invalid(text: str) -> NumberError:
    return NumberError(
        "number.invalid", f"{visible(text)} is no number: write it like 1299.00 or 1.299,00 EUR"
    )
