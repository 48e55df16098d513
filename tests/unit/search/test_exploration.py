"""Exploration: some of the lower places show what is ranked deeper, always the same ones for a query id."""

from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from schemas.search import SearchQuery
from services.search.domain.exploration import PAGE, explore
from services.search.domain.fusion import RankedCandidate
from tests.unit.schemas.strategies import short
from tests.unit.search.builders import candidate
from tests.unit.search.conftest import PARTITIONS, home

RANKED = [RankedCandidate(candidate(f"p{number}"), 1 - number / 100) for number in range(25)]
IDS = [hit.candidate.product_id for hit in RANKED]
HARDLY = 1e-6
"""The probability under which chance is not believed."""
shares = st.floats(0, 1)
sizes = st.integers(1, 25)


def ids(hits):
    return [hit.candidate.product_id for hit in hits]


@given(query_id=short, share=shares, k=sizes, depth=st.integers(0, 25))
def test_only_lower_places_are_explored_and_the_others_keep_their_order(query_id, share, k, depth):
    shown, places = explore(RANKED[:depth], k, share=share, query_id=query_id)
    assert len(set(ids(shown))) == len(shown) == min(k, depth)
    assert all((place - 1) % PAGE >= PAGE // 2 for place in places)
    assert all(shown[place - 1] in RANKED[PAGE:] for place in places)
    usual = [hit for place, hit in enumerate(shown, 1) if place not in places]
    unexplored = [hit for hit in RANKED[:depth] if hit not in [shown[place - 1] for place in places]]
    assert usual == unexplored[: len(usual)]


@given(query_id=short, share=shares, k=sizes, more=sizes)
def test_a_further_page_goes_on_with_the_list(query_id, share, k, more):
    shown, places = explore(RANKED, k, share=share, query_id=query_id)
    longer, more_places = explore(RANKED, k + more, share=share, query_id=query_id)
    assert longer[:k] == shown
    assert tuple(place for place in more_places if place <= k) == places


@given(query_id=short, k=sizes)
def test_without_a_share_nothing_is_explored(query_id, k):
    assert explore(RANKED, k, share=0.0, query_id=query_id) == (RANKED[:k], ())


def test_the_share_is_what_was_set_and_every_deeper_product_gets_its_turn():
    lists = [explore(RANKED, PAGE, share=0.2, query_id=f"q{number}") for number in range(4000)]
    count = sum(len(places) for _, places in lists)
    assert binomtest(count, 4000 * PAGE // 2, 0.2).pvalue > HARDLY
    explored = [shown[place - 1].candidate.product_id for shown, places in lists for place in places]
    for product in IDS[PAGE:]:
        assert binomtest(explored.count(product), count, 1 / 15).pvalue > HARDLY


async def test_an_explored_answer_is_logged_with_its_places_and_without_a_drift_of_its_own(shop, open_api):
    shop.owners.clear()
    many = {f"n{number}": {"title": f"shoe{' red' * (number % 7)} {number}"} for number in range(40)}
    for number in range(PARTITIONS):
        mine = {product: fields for product, fields in many.items() if home(product) == number}
        shop.shard(number, mine, name=f"many-{number}")
    client = await open_api(exploration=0.5)

    async def found(**asked):
        answer = (await client.post("/search", json={"text": "red shoe", "query_id": "Q", **asked})).json()
        return [hit["product_id"] for hit in answer["hits"]]

    explored, plain = await found(), await found(log=False)
    assert await found(generation="g1") == plain
    await shop.log.stop()
    record, probe = [SearchQuery.decode(message.value) for message in shop.published.messages]
    places = record.ranking.explored
    assert places
    assert (probe.ranking.explored, record.ranking.similarities) == ((), probe.ranking.similarities)
    assert list(record.query_response_object_ids) == explored
    assert {explored[place - 1] for place in places}.isdisjoint(plain)
    assert explored[:5] == plain[:5]
