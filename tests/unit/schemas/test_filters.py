"""One contract of filters for the API and the shards: it goes through as it came, faults are in words."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.filters import Filter

FILTER = TypeAdapter(Filter)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.booleans() | numbers | st.text(max_size=20)
names = st.text(min_size=1, max_size=20)
bounds = st.sampled_from([numbers, st.text(max_size=20)]).flatmap(
    lambda kind: st.dictionaries(st.sampled_from(["gte", "gt", "lte", "lt"]), kind, min_size=1)
)
filters = (
    st.fixed_dictionaries({"op": st.just("term"), "field": names, "value": scalars})
    | st.fixed_dictionaries({"op": st.just("in"), "field": names, "values": st.lists(scalars, max_size=5)})
    | st.builds(lambda field, given: {"op": "range", "field": field, **given}, names, bounds)
)


@given(filters)
def test_a_filter_goes_to_the_shards_as_it_came(given_):
    wire = orjson.dumps(FILTER.validate_python(given_).model_dump(exclude_none=True))
    assert orjson.loads(wire) == orjson.loads(orjson.dumps(given_))
    assert FILTER.validate_json(wire) == FILTER.validate_python(given_)


@pytest.mark.parametrize(
    ("malformed", "why"),
    [
        ({"op": "term", "field": "a"}, "the filter `term` needs `value`"),
        ({"op": "in", "field": "a", "value": 1}, "the filter `in` needs `values`"),
        ({"op": "range", "field": "a"}, "the filter `range` needs one of `gte`, `gt`, `lte`, `lt`"),
        ({"op": "term", "field": "a", "value": 1, "lt": 2}, "the filter `term` takes only `value`, not `lt`"),
        ({"op": "term", "feild": "a", "value": 1}, "not `feild`"),
        ({"op": "range", "field": "a", "gte": 1, "lt": "z"}, "all numbers or all strings"),
        ({"op": "range", "field": "a", "gte": True}, "all numbers or all strings"),
        ({"op": "like", "field": "a", "value": 1}, "'term', 'in', 'range'"),
        ({"field": "a", "value": 1}, "'op'"),
        ({"op": "term", "field": "", "value": 1}, "at least 1 character"),
        ({"op": "term", "field": "a", "value": float("nan")}, "finite"),
        ("a", "dict"),
    ],
)
def test_a_filter_that_means_nothing_is_refused_in_words(malformed, why):
    with pytest.raises(ValidationError, match=why):
        FILTER.validate_python(malformed)
