"""The figure that a fit is stopped by."""

from services.trainer.learning.domain.recipe import Recipe
from services.trainer.learning.validation import Validation
from tests.unit.trainer.tiny import tiny_dataset


class ByWords:
    """Scores by the words that query and text share, and is told what to prepare."""

    def __init__(self, sign=1):
        self.sign, self.prepared, self.asked = sign, [], {}

    def prepare(self, texts):
        self.prepared = list(texts)

    def score(self, query, texts):
        self.asked[query] = list(texts)
        return [self.sign * len({*query.split()} & {*text.split()}) for text in texts]


def test_a_model_that_knows_the_words_is_perfect_and_one_that_inverts_them_is_not():
    validation = Validation.of(tiny_dataset(), Recipe())
    assert validation.figure(ByWords()) > 0.5
    assert validation.figure(ByWords(-1)) < 0.1


def test_an_encoder_searches_all_and_a_reranker_orders_what_was_judged():
    for kind, count in (("encoder", 64), ("reranker", 16)):
        model = ByWords()
        Validation.of(tiny_dataset(), Recipe(kind=kind)).figure(model)
        assert {len(texts) for texts in model.asked.values()} == {count}


def test_products_beside_the_judged_ones_are_drawn_by_the_seed_up_to_the_number():
    one, again, other = (
        Validation.of(tiny_dataset(), Recipe(validation_products=40, seed=seed)).texts for seed in (0, 0, 1)
    )
    assert len(one) == len(other) == 40
    assert one == again != other
    judged = {pair.product_id for pair in tiny_dataset().of("validation")}
    assert judged <= one.keys() & other.keys()
    few = Validation.of(tiny_dataset(), Recipe(validation_products=1)).texts
    assert few.keys() == judged, "what was judged is never left out"


def test_nothing_to_validate_with_is_no_figure():
    data = tiny_dataset()
    pairs = tuple(pair for pair in data.pairs if pair.split != "validation")
    validation = Validation.of(type(data)(data.manifest, pairs, (), data.products), Recipe())
    assert validation.figure(ByWords()) is None
    assert validation.texts == {}


def test_a_text_that_two_products_have_is_prepared_once():
    data = tiny_dataset()
    same = tuple(product.model_copy(update={"text": "red lamp"}) for product in data.products)
    model = ByWords()
    Validation.of(type(data)(data.manifest, data.pairs, (), same), Recipe()).figure(model)
    assert model.prepared == ["red lamp"]
