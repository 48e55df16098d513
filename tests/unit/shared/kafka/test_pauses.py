"""The pauses after empty answers of the embedded broker, in virtual time."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kafka.fetcher import EARLY, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, pausing
from tests.unit.shared.virtual_time import now, virtually

LONGEST_WAIT = 2.0


class Fetcher:
    _fetch_max_wait_ms = LONGEST_WAIT * 1000


def moments(answers: list[tuple[str, bool, float]]) -> list[float]:
    """Return when each fetch (of a node, with news or without, which takes so long) was over."""

    async def story() -> list[float]:
        pending = iter(answers)
        over: list[float] = []
        fetcher = Fetcher()

        async def fetch(fetcher: object, assignment: object, node: str, request: object) -> bool:
            _, news, takes = next(pending)
            await asyncio.sleep(takes)
            return news

        paused = pausing(fetch)
        for node, _, _ in answers:
            await paused(fetcher, None, node, None)
            over.append(now())
        return over

    return virtually(story())


def pauses(answers: list[tuple[str, bool, float]]) -> list[float]:
    """Return how long each was held back."""
    over = [0.0, *moments(answers)]
    return [
        later - earlier - takes
        for (earlier, later), (_, _, takes) in zip(pairwise(over), answers, strict=True)
    ]


def test_a_pause_doubles_with_every_empty_answer_up_to_the_longest():
    expected = [min(FIRST_PAUSE_SECONDS * 2**number, LONGEST_PAUSE_SECONDS) for number in range(8)]
    assert pauses([("a", False, 0.0)] * 8) == pytest.approx(expected)


def test_news_is_not_held_back_and_ends_the_row():
    held = pauses([("a", False, 0.0)] * 4 + [("a", True, 0.0), ("a", False, 0.0)])
    assert held[4:] == pytest.approx([0.0, FIRST_PAUSE_SECONDS])


def test_a_broker_that_waited_long_enough_is_not_paused_for():
    assert pauses([("a", False, LONGEST_WAIT * EARLY * 1.01)] * 3) == pytest.approx([0.0] * 3, abs=1e-9)


def test_one_node_does_not_make_another_wait():
    held = pauses([("a", False, 0.0)] * 5 + [("b", False, 0.0)])
    assert held[-1] == pytest.approx(FIRST_PAUSE_SECONDS)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.sampled_from([0.0, 0.5, 1.9])), max_size=20)
)
def test_whatever_comes_no_pause_is_longer_than_the_longest_and_news_has_none(answers):
    for held, (_, news, takes) in zip(pauses(answers), answers, strict=True):
        assert -1e-9 <= held <= LONGEST_PAUSE_SECONDS + 1e-9
        if news or takes > LONGEST_WAIT * EARLY:
            assert held == pytest.approx(0, abs=1e-9)
        else:
            assert held >= FIRST_PAUSE_SECONDS - 1e-9
