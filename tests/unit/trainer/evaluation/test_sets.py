"""The sets that models are judged on, and their slices, for any data set."""

from hypothesis import given, settings
from hypothesis import strategies as st

from services.trainer.dataset.domain.dataset import EVALUATED, SPLITS, Dataset, DatasetManifest, TrainingPair
from services.trainer.evaluation.domain.figures import HELD_OUT
from services.trainer.evaluation.sets import evaluation_sets, validation_set


@st.composite
def datasets(draw):
    keys = st.tuples(
        st.sampled_from([f"q{n}" for n in range(6)]), st.sampled_from([f"p{n}" for n in range(6)])
    )
    pairs = [
        TrainingPair(
            query=query,
            product_id=product_id,
            value=1,
            grade=draw(st.sampled_from([0.0, 0.5, 1.49, 3.0])),
            impressions=draw(st.integers(0, 50)),
            split=draw(st.sampled_from(SPLITS)),
            late=draw(st.booleans()),
            language=draw(st.sampled_from(["", "de", "en"])),
        )
        for query, product_id in draw(st.lists(keys, max_size=30, unique=True))
    ]
    return Dataset(DatasetManifest(name="d", ranges=(), generation="g1"), tuple(pairs), (), ())


@settings(max_examples=60)
@given(datasets())
def test_what_is_held_out_is_one_set_and_each_split_another(dataset):
    sets = {one.name: one for one in evaluation_sets(dataset)}
    held_out = dataset.of(*EVALUATED)
    assert set(sets) == ({HELD_OUT} if held_out else set()) | {pair.split for pair in held_out} | (
        {"late"} if any(pair.late for pair in held_out) else set()
    )
    if held_out:
        assert next(iter(sets)) == HELD_OUT, "costs are taken on the first"
        graded = {(query, name) for query, row in sets[HELD_OUT].grades.items() for name in row}
        assert graded == {(pair.query, pair.product_id) for pair in held_out}


@settings(max_examples=60)
@given(datasets())
def test_whatever_else_was_judged_of_a_query_is_excluded_from_its_ranking(dataset):
    for one in (*evaluation_sets(dataset), validation_set(dataset)):
        for query, grades in one.grades.items():
            judged = {pair.product_id for pair in dataset.pairs if pair.query == query}
            assert one.excluded.get(query, frozenset()) == judged - grades.keys()


@settings(max_examples=60)
@given(datasets())
def test_every_query_is_in_one_of_head_torso_and_tail(dataset):
    for one in evaluation_sets(dataset):
        thirds = [one.slices.get(name, frozenset()) for name in ("head", "torso", "tail")]
        assert sum(map(len, thirds)) == len(one.queries)
        assert frozenset().union(*thirds) == frozenset(one.queries)
        assert all(queries <= frozenset(one.queries) for queries in one.slices.values())
        assert "language " not in one.slices


def test_a_grade_is_the_nearest_whole_one():
    pairs = tuple(
        TrainingPair(query="q", product_id=name, value=1, grade=grade, impressions=1, split="validation")
        for name, grade in (("a", 0.49), ("b", 0.5), ("c", 2.6))
    )
    dataset = Dataset(DatasetManifest(name="d", ranges=(), generation="g1"), pairs, (), ())
    assert validation_set(dataset).grades == {"q": {"a": 0, "b": 1, "c": 3}}
    assert list(evaluation_sets(dataset)) == []
