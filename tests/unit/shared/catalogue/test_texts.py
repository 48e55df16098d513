from hypothesis import given
from hypothesis import strategies as st

from schemas.base import MAX_TEXT_BYTES
from services.embedder.settings import EmbedderSettings
from shared.catalogue.texts import bounded_text, build_text, whole_text

DEFAULT = EmbedderSettings().text
LABELLED = ("title", "Brand: {brand}", "Color: {color}", "{bullets|description}")
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=50))


def test_fields_come_in_the_configured_order_with_their_labels() -> None:
    fields = {"bullets": "soft", "color": "red", "title": "Sock", "brand": "Acme", "price": 3}
    assert build_text(fields, LABELLED) == "Sock\nBrand: Acme\nColor: red\nsoft"


def test_the_description_stands_in_for_missing_bullets() -> None:
    assert build_text({"title": "Sock", "bullets": " ", "description": "warm"}, LABELLED) == "Sock\nwarm"


def test_a_price_is_not_part_of_the_text() -> None:
    assert build_text({"title": "a", "price": 1}, LABELLED) == build_text({"title": "a", "price": 2}, DEFAULT)


def test_lists_numbers_and_truths_are_written_out() -> None:
    fields = {"tags": ("a", None, 2, 1.5), "new": True, "old": False}
    assert build_text(fields, ["tags", "new: {new}", "{old}"]) == "a, 2, 1.5\nnew: yes\nno"


def test_a_product_without_text_has_none() -> None:
    assert build_text({}, DEFAULT) == build_text({"title": None, "bullets": ""}, DEFAULT) == ""


@given(st.dictionaries(st.sampled_from(["title", "brand", "bullets"]), VALUES))
def test_the_order_of_the_fields_in_the_document_does_not_matter(fields: dict[str, object]) -> None:
    assert build_text(fields, DEFAULT) == build_text(dict(reversed(fields.items())), DEFAULT)


def test_a_text_is_cut_at_the_limit_without_breaking_a_character() -> None:
    text = build_text({"title": "é" * MAX_TEXT_BYTES}, DEFAULT)
    assert text == "é" * (MAX_TEXT_BYTES // 2)


def test_what_is_too_long_is_said() -> None:
    assert bounded_text({"title": "é" * MAX_TEXT_BYTES}, DEFAULT).left_out == MAX_TEXT_BYTES
    assert bounded_text({"title": "é"}, DEFAULT).left_out == 0


def test_the_attributes_stay_and_the_text_is_their_words() -> None:
    fields = {
        "title": "Ｓock",
        "bullets": "<p>soft &amp; warm</p><p>red</p>",
        "image": "http://a.de/b.png",
        "n": 3,
    }
    assert build_text(fields, ("title", "{bullets}")) == "Sock\nsoft & warm\nred"
    assert whole_text(fields) == "Sock\nsoft & warm\nred"
    assert fields["title"] == "Ｓock"
