from hypothesis import given
from hypothesis import strategies as st

from shared.encoder.packing import pack


@given(st.lists(st.integers(0, 300), max_size=60), st.integers(1, 1000))
def test_every_text_is_in_one_batch_within_the_budget_longest_first(lengths: list[int], budget: int) -> None:
    batches = pack(lengths, budget)
    order = [index for batch in batches for index in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[index] for index in order] == sorted(lengths, reverse=True)
    for batch in batches:
        padded = max(lengths[index] for index in batch) * len(batch)
        assert padded <= budget or len(batch) == 1
