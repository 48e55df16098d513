"""A leak that somebody planted is found."""

import pytest

from services.trainer.dataset.build import dataset_of
from services.trainer.dataset.domain import assembly
from services.trainer.dataset.domain.dataset import HardNegative, Split, TrainingPair
from services.trainer.dataset.domain.leakage import leakage_report, leaks
from services.trainer.dataset.domain.selection import DatasetSelection
from services.trainer.dataset.domain.similarity import Similarity
from shared.catalogue.words import canonical
from shared.errors import FatalError
from tests.unit.trainer.dataset.test_assembly import INPUTS
from tests.unit.trainer.dataset.worlds import PRODUCTS, QUERIES, catalogue, judged, sources

TITLES = {
    "shoe": "red trail running shoe by acme in size nine",
    "twin": "Red trail running shoes, Acme, size nine",
    "near": "red trail running shoe by acme in size ten",
    "tent": "tent for two",
    "lamp": "desk lamp",
}
SIMILARITY = Similarity(catalogue(**TITLES).entries(), DatasetSelection(similar_product=0.7))


def pair(query: str, product_id: str, split: Split) -> TrainingPair:
    return TrainingPair(query=query, product_id=product_id, value=1, grade=1, impressions=1, split=split)


LEARNED = [pair("red running shoes", "shoe", "train"), pair("two man tent", "tent", "train")]


@pytest.mark.parametrize(
    ("leak", "names"),
    [
        (pair("blue desk lamp", "lamp", "zero_shot"), set()),
        (
            pair("red running shoes", "lamp", "novel_query"),
            {"same query", "same canonical query", "similar query"},
        ),
        (pair("running shoe, red", "lamp", "validation"), {"same canonical query", "similar query"}),
        (pair("red runing shoes", "lamp", "zero_shot"), {"similar query"}),
        (pair("two man tent", "shoe", "novel_product"), {"same product", "similar product"}),
        (pair("two man tent", "twin", "novel_product"), {"similar product"}),
        (pair("two man tent", "near", "novel_product"), {"similar product"}),
        (pair("desk", "near", "zero_shot"), {"similar product"}),
        (pair("red running shoes", "lamp", "in_domain"), set()),
        (pair("shoes running red", "twin", "in_domain"), {"same pair"}),
    ],
)
def test_a_planted_leak_is_found(leak: TrainingPair, names: set[str]) -> None:
    found = leaks(leakage_report([*LEARNED, leak], [], SIMILARITY))
    assert found == [it for it in found if it.startswith(f"{leak.split} and train: 1 ")]
    assert {it.split(": 1 ")[1] for it in found} == names


def test_a_negative_is_learned_from_too() -> None:
    negatives = [HardNegative(query="two man tent", product_id="lamp", difficulty="hard")]
    found = leakage_report([*LEARNED, pair("blue lamp", "lamp", "zero_shot")], negatives, SIMILARITY)
    assert leaks(found) == ["zero_shot and train: 1 same product", "zero_shot and train: 1 similar product"]


def test_a_build_that_leaks_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "_apart", lambda pairs, *_: pairs)
    with pytest.raises(FatalError, match="not clean"):
        dataset_of(sources([judged(query, name) for query in QUERIES for name in PRODUCTS]), INPUTS)


def test_queries_of_one_form_are_never_apart() -> None:
    found = dataset_of(sources([judged(query, name) for query in QUERIES for name in PRODUCTS]), INPUTS)
    sides: dict[str, set[bool]] = {}
    for it in found.pairs:
        sides.setdefault(canonical(it.query), set()).add(it.split in {"novel_query", "zero_shot"})
    assert all(len(side) == 1 for side in sides.values())
