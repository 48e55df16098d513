"""What a data set is a function of: its name, its selection, its ranges, and who is the same product."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.control import OffsetRange
from services.trainer.dataset.build import OF_BEFORE, DatasetInputs
from services.trainer.dataset.domain.augmentation import augment
from services.trainer.dataset.domain.cleaning import Removed
from services.trainer.dataset.domain.dataset import SPLITS, DatasetManifest, TrainingPair
from services.trainer.dataset.domain.entry import CatalogueEntry
from services.trainer.dataset.domain.selection import DatasetSelection
from services.trainer.dataset.domain.similarity import Similarity
from services.trainer.dataset.domain.split import Splitter
from services.trainer.dataset.settings import DatasetSettings
from services.trainer.dataset.sources import parse_ranges
from shared.catalogue.words import canonical
from shared.errors import ConfigurationError, PoisonError
from tests.unit.trainer.dataset.worlds import PRODUCTS, QUERIES, catalogue

INPUTS = DatasetInputs(
    ranges=(OffsetRange(topic="search.judgements.v1", partition=0, start=0, end=9),),
    selection=DatasetSelection(),
    generation="g1",
)


@pytest.mark.parametrize(
    "changes",
    [
        {"ranges": ()},
        {"selection": DatasetSelection(salt="another")},
        {"generation": "g2"},
        {"seed": 1},
    ],
)
def test_other_inputs_have_another_name(changes):
    assert replace(INPUTS, **changes).name != INPUTS.name


def test_the_code_is_only_written_down():
    assert replace(INPUTS, code_version="abc").name == INPUTS.name == replace(INPUTS).name


def test_a_manifest_gives_its_inputs_back_and_one_of_unknown_settings_is_refused():
    manifest = DatasetManifest(
        name="d", ranges=INPUTS.ranges, generation="g1", filters=INPUTS.selection.named()
    )
    assert DatasetInputs.of(manifest, code_version="") == INPUTS
    before = manifest.model_copy(
        update={"filters": {k: v for k, v in manifest.filters.items() if k not in OF_BEFORE}}
    )
    selection = DatasetInputs.of(before, code_version="").selection
    assert (selection.random_negatives, selection.novel_queries) == (0, 0), "it is built again as it was"
    strange = manifest.model_copy(update={"filters": {"shopers": 3}})
    with pytest.raises(PoisonError, match=r"d: .*not permitted"):
        DatasetInputs.of(strange, code_version="")


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99), st.integers(0, 99)), max_size=4))
def test_ranges_are_read_as_they_are_written(spans):
    spans = [(number, min(span), max(span)) for number, *span in spans]
    ranges = parse_ranges(f"{number}:{start}-{end}" for number, start, end in spans)
    assert [(it.partition, it.start, it.end) for it in ranges] == spans
    assert {it.topic for it in ranges} <= {"search.judgements.v1"}


@pytest.mark.parametrize("text", ["", "0", "0:1", "0:2-1", "a:0-1", "0:0-b", "-1:0-1", "0:-1-3", "0:1-2-3"])
def test_what_is_no_range_is_refused_with_an_example(text):
    with pytest.raises(ConfigurationError, match="as in 0:0-1000"):
        parse_ranges([text])


@pytest.mark.parametrize(
    "filters", [{"novel_query": 0.5, "validation": 0.4}, {"shopers": 3}, {"similar_query": 0.4}]
)
def test_filters_that_leave_nothing_or_are_none_are_refused(filters):
    with pytest.raises(ConfigurationError, match="dataset"):
        DatasetSettings.load(dataset=filters)


def test_the_selection_has_the_text_that_is_embedded():
    settings = DatasetSettings(dataset={"shoppers": 7}, embedder={"text": ("name",)})
    assert (settings.selection.shoppers, settings.selection.text) == (7, ("name",))


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=5))
def test_a_split_follows_from_the_two_sides(form, key, salt):
    splitter = Splitter(DatasetSelection(salt=salt, novel_query=0.4, novel_product=0.5, in_domain=0.5))
    side, held_out = splitter.side_of_query(form), splitter.product_is_held_out(key)
    split = splitter.split(form, key)
    assert split == splitter.split(form, key)
    if side == "validation":
        assert split == (None if held_out else "validation")
    elif side == "held_out":
        assert split == ("zero_shot" if held_out else "novel_query")
    else:
        assert split in ({"novel_product"} if held_out else {"train", "in_domain"})
    assert split in (*SPLITS, None)


def test_shares_of_nothing_hold_nothing_out():
    splitter = Splitter(DatasetSelection(novel_query=0, validation=0, novel_product=0, in_domain=0))
    assert {splitter.split(canonical(query), name) for query in QUERIES for name in PRODUCTS} == {"train"}


def entry(**fields):
    return CatalogueEntry.of("p1", fields, DatasetSelection(prefixes=("brand", "tags")), key="k")


def test_an_entry_has_the_texts_of_a_product_and_no_numbers():
    product = entry(title="Red shoe", size=42, new=True, tags=("sale", "shoes"), empty=" ").product
    assert product.text == "Red shoe"
    assert product.fields == {"title": "Red shoe", "tags": "sale, shoes"}


def test_an_entry_has_the_first_value_of_what_slices_and_prefixes_are_made_of():
    one = entry(title="x", language=("", "de"), category=None, brand="Acme", tags=("sale", "new"))
    assert (one.language, one.category, one.prefixes) == ("de", "", ("Acme", "sale"))


def similarity(**titles):
    return Similarity(catalogue(DatasetSelection(), **titles).entries(), DatasetSelection())


def test_products_are_similar_by_identity_or_by_the_key_that_they_once_had():
    known = similarity(
        a="Crème brûlée torch, 2-pack", b="Creme brulee torch 2 pack", c="Red shoes", d="Shoe, red", e="Lamp"
    )
    assert known.products(["a", "c", "e"], ["b", "d"]) == {"a", "c"}
    renamed = replace(known.entries["e"], key=known.entries["d"].key)
    with_key = Similarity({**known.entries, "e": renamed}, known.selection)
    assert with_key.products(["e"], ["d"]) == {"e"}


@given(st.lists(st.sampled_from(QUERIES), max_size=6), st.lists(st.sampled_from(QUERIES), max_size=6))
def test_a_query_is_similar_to_itself_and_similarity_is_mutual(ours, theirs):
    known = similarity()
    assert known.queries(ours, ours) == set(ours)
    similar = known.queries(ours, theirs)
    assert all(known.queries(theirs, [query]) for query in similar)


def pair(query, product_id, split="train"):
    return TrainingPair(query=query, product_id=product_id, value=1, grade=2, impressions=1, split=split)


def test_a_query_with_its_prefix_that_is_asked_anyway_is_not_made_up():
    selection = DatasetSelection(
        prefixes=("brand",), novel_query=0, validation=0, novel_product=0, in_domain=0
    )
    entries, removed = catalogue(selection, p1="Red shoe", p2="Blue shoe").entries(), Counter()
    pairs = [pair("shoe", "p1"), pair("shoe", "p2"), pair("tent", "p1", "novel_query")]
    made = list(augment(pairs, entries, Splitter(selection), removed=removed))
    assert [(it.query, it.product_id, it.augmented) for it in made] == [
        ("acme: shoe", "p1", True),
        ("acme: shoe", "p2", True),
    ]
    asked = [*pairs, pair("shoes by acme", "p1")]
    assert list(augment(asked, entries, Splitter(selection), removed=removed)) == []
    assert removed == {Removed.AUGMENTED: 3}, "also of what was asked: with its brand it is the same again"
