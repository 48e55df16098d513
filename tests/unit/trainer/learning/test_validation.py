"""The figure that a fit is stopped by."""

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
    validation = Validation.of(tiny_dataset())
    assert validation.figure(ByWords()) > 0.9
    assert validation.figure(ByWords(-1)) < 0.6


def test_only_what_was_graded_is_ordered():
    model, validation = ByWords(), Validation.of(tiny_dataset())
    validation.figure(model)
    assert model.asked.keys() == validation.grades.keys()
    assert {len(texts) for texts in model.asked.values()} == {16}
    judged = {pair.product_id for pair in tiny_dataset().of("validation")}
    assert validation.texts.keys() == judged, "what nobody was shown is neither wrong nor right"


def test_nothing_to_validate_with_is_no_figure():
    data = tiny_dataset()
    pairs = tuple(pair for pair in data.pairs if pair.split != "validation")
    validation = Validation.of(type(data)(data.manifest, pairs, (), data.products))
    assert validation.figure(ByWords()) is None
    assert validation.texts == {}


def test_a_query_whose_products_are_graded_alike_tells_nothing_and_is_left_out():
    data = tiny_dataset()
    pairs = tuple(pair.model_copy(update={"grade": 3.0}) for pair in data.pairs)
    validation = Validation.of(type(data)(data.manifest, pairs, (), data.products))
    assert validation.figure(ByWords()) is None


def test_a_text_that_two_products_have_is_prepared_once():
    data = tiny_dataset()
    same = tuple(product.model_copy(update={"text": "red lamp"}) for product in data.products)
    model = ByWords()
    Validation.of(type(data)(data.manifest, data.pairs, (), same)).figure(model)
    assert model.prepared == ["red lamp"]
