"""Prices as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.loader.domain.money import Money, NumberError, read_money, read_number


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("12,50 EUR", 12.5, "EUR"),
        ("12.50 USD", 12.5, "USD"),
        ("1.299,00", 1299.0, ""),
        ("$1,299.00", 1299.0, "$"),
        ("1 299,00 €", 1299.0, "EUR"),
        ("1\u202f299,00\u00a0€", 1299.0, "EUR"),
        ("CHF 1'299.50", 1299.5, "CHF"),
        ("1.299.000", 1_299_000, ""),
        ("1,29,900.00 ₹", 129_900.0, "INR"),
        ("0.999", 0.999, ""),
        ("1234.500", 1234.5, ""),
        ("12,-", 12, ""),
        (".5", 0.5, ""),
        ("99 kr.", 99, "kr"),
        ("-5.00", -5.0, ""),
        (" 7 ", 7, ""),
    ],
)
def test_a_price_is_read_in_its_usual_forms(text, amount, currency):
    assert read_money(text) == Money(amount, currency)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "free",
        "12 apples",
        "1.2.3",
        "12..5",
        "10 - 20",
        "1 2 3",
        "1.299,0,0",
        "12 EUR EUR",
        "1e5",
        "9" * 99,
    ],
)
def test_what_is_no_price_is_told(text):
    with pytest.raises(NumberError) as error:
        read_money(text)
    assert error.value.reason == "number.invalid"


@pytest.mark.parametrize(("text", "point", "comma"), [("1.299", 1.299, 1299), ("1,299", 1299, 1.299)])
def test_a_price_that_may_be_either_is_told_unless_somebody_says_which(text, point, comma):
    with pytest.raises(NumberError) as error:
        read_money(text)
    assert error.value.reason == "number.ambiguous"
    assert "1299 or 1.299" in error.value.fix
    assert (read_money(text, ".").amount, read_money(text, ",").amount) == (point, comma)


@given(cents=st.integers(0, 10**10), style=st.sampled_from([",.", ".,", " ,", "'.", ".", ","]))
def test_every_amount_with_cents_is_read_back_in_every_style(cents, style):
    groups = f"{cents // 100:,}".replace(",", style[0] if len(style) > 1 else "")
    text = f"{groups}{style[-1]}{cents % 100:02}"
    assert read_money(text).amount == pytest.approx(cents / 100)


def test_a_count_has_no_currency():
    assert read_number("1.234.567") == 1_234_567
    with pytest.raises(NumberError):
        read_number("5 EUR")


@given(st.text(max_size=50))
def test_no_text_does_any_harm(text):
    fix = ""
    try:
        read_money(text)
    except NumberError as error:
        fix = error.fix
    assert fix.isprintable()
