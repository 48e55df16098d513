"""What attributes the products of a shard have."""

from itertools import count

from schemas.fields import MOST_FIELDS
from services.shards.domain.fields import summarise


def test_fields_are_counted_by_products_and_by_kind():
    (price, tags), unnamed = summarise(
        [
            {"price": 10, "tags": ("new", "new", "sale")},
            {"price": "on request", "tags": ("sale",)},
            {"price": 2.5, "tags": ()},
            {"price": None},
            {"price": (True, 7)},
        ]
    )
    assert (price.products, dict(price.kinds)) == (4, {"boolean": 1, "number": 3, "text": 1})
    assert (price.least, price.greatest, price.examples) == (2.5, 10, ("on request",))
    assert (tags.products, dict(tags.kinds), unnamed) == (2, {"text": 2}, 0)


def test_a_text_that_no_filter_can_use_is_counted_apart():
    [text], _ = summarise([{"text": "x" * 257}, {"text": "x"}, {"text": ("x" * 300, "y")}])
    assert (text.products, dict(text.kinds), text.too_long) == (3, {"text": 2}, 2)
    assert set(text.examples) == {"x", "y"}


def test_of_very_many_fields_the_fuller_ones_are_named():
    numbers = count()
    products = [{"title": "x", **{f"f{next(numbers)}": 1 for _ in range(700)}} for _ in range(2)]
    fields, unnamed = summarise(products)
    assert len(fields) == MOST_FIELDS
    assert fields[-1].name == "title"
    assert unnamed == 401
