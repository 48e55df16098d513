"""Products become the same texts where they are served as where a model was evaluated, or it is refused."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.control import Model
from shared.catalogue.texts import bounded_text
from shared.errors import ConfigurationError
from shared.generations.product_texts import ProductTexts, check_product_texts, cutter
from shared.testing.encoder import FakeEncoder

USUAL = ProductTexts()


def evaluated(texts: ProductTexts | None, precision: str = "fp32") -> Model:
    return Model(
        model_id="m",
        fingerprint="0" * 16,
        location="/models/m",
        precision=precision,
        dimensions=32,
        verdict="admitted",
        product_recipe=None if texts is None else texts.recipe,
        created_at=datetime(2026, 11, 30, tzinfo=UTC),
    )


def test_the_same_recipe_embeds_nothing() -> None:
    encoder = FakeEncoder()
    for model in (None, evaluated(None), evaluated(ProductTexts(text=("title", "brand")))):
        here = ProductTexts(text=("title", "brand"))
        check_product_texts(encoder, here, model)
    assert not encoder.calls


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"passage_size": 120}, "embedder.passage_size is 120, was 240"),
        ({"passage_overlap": 0}, "embedder.passage_overlap is 0, was 32"),
        ({"passages": 2}, "embedder.passages is 2, was 4"),
        ({"text": ("title",)}, r"embedder.text is \['title'\], was \['{title|name|description}'\]"),
        ({"text": ("{title|name|description}", "brand")}, "embedder.text is"),
        ({"text": ("{title|name|description|ean}",)}, "embedder.text is"),
        ({"text": ("Product: {title|name|description}",)}, "embedder.text is"),
        ({"text": ("{name|title|description}",)}, "embedder.text is"),
    ],
)
def test_another_recipe_is_refused_with_what_is_other(change: dict[str, object], said: str) -> None:
    here = USUAL.model_copy(update=change)
    for one, other in ((USUAL, here), (here, USUAL)):
        with pytest.raises(ConfigurationError, match="serving differs from evaluation, ") as refused:
            check_product_texts(FakeEncoder(), one, evaluated(other))
        assert "\n" not in str(refused.value)
    with pytest.raises(ConfigurationError, match=said):
        check_product_texts(FakeEncoder(), here, evaluated(USUAL))


def test_a_passage_that_is_new_or_missing_is_named() -> None:
    fewer = USUAL.model_copy(update={"passages": 2})
    for here, there, said in ((fewer, USUAL, "is missing"), (USUAL, fewer, "is new")):
        with pytest.raises(ConfigurationError, match=rf"the product text 'the .*' {said}: embedder.passages"):
            check_product_texts(FakeEncoder(), here, evaluated(there))


@pytest.mark.parametrize(
    "change",
    [
        {"passage_size": 300},  # the model reads 254 tokens
        {"text": ("{title|name|description|title}",)},
        {"text": ("{ title | name | description }",)},
    ],
)
def test_another_recipe_that_makes_the_same_texts_is_as_good(change: dict[str, object]) -> None:
    encoder, was = FakeEncoder(), USUAL.model_copy(update={"passage_size": 260})
    check_product_texts(encoder, was.model_copy(update=change), evaluated(was))
    assert not encoder.calls


names = st.sampled_from(["title", "name", "brand", "bullets"])
templates = st.lists(
    st.one_of(names, st.lists(names, min_size=1, max_size=3).map(lambda some: f"{{{'|'.join(some)}}}")),
    min_size=1,
    max_size=3,
)
recipes = st.builds(
    lambda text, size, overlap, most: ProductTexts(
        text=tuple(text), passage_size=size, passage_overlap=overlap, passages=most
    ),
    templates,
    st.sampled_from([16, 40, 240]),
    st.sampled_from([0, 8]),
    st.sampled_from([1, 2, 4]),
)
products = st.dictionaries(
    names, st.lists(st.sampled_from(["red", "lamp", "oak", "chair."]), max_size=90).map(" ".join)
)


@settings(max_examples=60, deadline=None)
@given(one=recipes, other=recipes, product=products)
def test_what_is_accepted_makes_the_same_passages_of_any_product(
    one: ProductTexts, other: ProductTexts, product: dict[str, str]
) -> None:
    encoder = FakeEncoder()
    try:
        check_product_texts(encoder, one, evaluated(other))
    except ConfigurationError:
        return
    made = []
    for recipe in (one, other):
        text = bounded_text(product, recipe.text).text
        made.append(cutter(recipe.cut, encoder)(text).texts(text))
    assert made[0] == made[1]
