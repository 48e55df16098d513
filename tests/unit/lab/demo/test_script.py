"""The demo claims what it saw, and only that: on a shop that works, and on shops that are broken."""

import io

import pytest
from rich.console import Console

from services.lab.demo import script as demo_script
from services.lab.demo.console import DemoConsole
from services.lab.demo.script import PRICE_CHANGES, DemoScript
from services.lab.simulation import shop
from services.lab.simulation.catalogue import (
    EXACT,
    GradedCatalogue,
    ShopProduct,
    ShopQuery,
    queries_beyond_words,
)
from tests.unit.lab.demo.shop_in_memory import ShopInMemory

SALE = shop.sample(size=200, queries=8)


def staged(*, broken: str = "", full: bool = True) -> tuple[DemoScript, ShopInMemory, DemoConsole]:
    console = DemoConsole(Console(file=io.StringIO(), width=100, no_color=True))
    client = ShopInMemory(SALE, broken=broken)
    if full:
        for product in SALE.products:
            client._change(product.change(1, client.clock.now()))
    script = DemoScript(client, console, SALE, lambda: {"search": "starting"})  # type: ignore[arg-type]  it answers as one
    return script, client, console


def text(console: DemoConsole) -> str:
    return console.rich.file.getvalue()  # type: ignore[attr-defined]  it is a StringIO


async def test_the_catalogue_is_published_whole_and_found() -> None:
    script, client, console = staged(full=False)
    await script.catalogue_streams_in()
    assert len(client.products) == len(SALE.products)
    assert console.failures == []
    assert "200 products can be found" in text(console)


async def test_a_search_that_finds_what_is_right_is_claimed_with_its_time() -> None:
    script, _, console = staged()
    await script.search()
    assert console.failures == []
    assert dict(console.figures)["search"] == "12 ms a query"
    assert text(console).count("are exactly right, all shards answered") == 3


async def test_a_search_that_finds_nothing_right_fails_the_demo() -> None:
    script, _, console = staged(broken="relevance")
    await script.search()
    assert console.failures
    assert all("0 of the first 10 are exactly right" in failure for failure in console.failures)
    assert "✗ not shown:" in text(console)


async def test_a_price_falls_several_times_without_inference() -> None:
    script, client, console = staged()
    before = client.texts
    await script.price_falls()
    assert console.failures == []
    assert client.texts == before
    assert f"texts embedded for {PRICE_CHANGES} price changes: 0" in text(console)


async def test_a_price_that_was_embedded_fails_the_demo() -> None:
    script, _, console = staged(broken="inference")
    await script.price_falls()
    assert console.failures == [f"texts embedded for {PRICE_CHANGES} price changes: {PRICE_CHANGES}"]


async def test_a_canary_fires_when_its_product_goes_and_resolves_when_it_is_back() -> None:
    script, client, console = staged()
    await script.canary()
    assert console.failures == []
    assert "fired after" in dict(console.figures)["canary alert"]
    [canary] = client.canaries
    assert canary.product_ids[0] in client.products, "the product was brought back"
    assert "firing" in text(console)
    assert "resolved" in text(console)


async def test_without_a_right_product_at_the_top_there_is_no_canary() -> None:
    script, _, _ = staged(broken="relevance")
    with pytest.raises(demo_script.TransientError, match="no query has a right product at its top"):
        await script.canary()


async def test_a_scene_that_breaks_off_is_a_claim_that_does_not_hold_and_ends_the_demo() -> None:
    script, _, console = staged(broken="broker", full=False)
    await script.play()
    assert console.failures == ["the scene was played to its end: the broker is away"]


async def test_the_opening_says_whether_the_catalogue_came_in() -> None:
    script, _, _ = staged(full=False)
    assert await script.play_opening()
    broken, _, _ = staged(broken="broker", full=False)
    assert not await broken.play_opening()


async def test_a_catalogue_that_never_arrives_names_who_is_not_ready(monkeypatch) -> None:
    monkeypatch.setattr(demo_script, "START_WITHIN", demo_script.SECOND * -100)
    script, client, _ = staged(full=False)
    with pytest.raises(demo_script.TransientError, match="'search': 'starting'"):
        await script.catalogue_streams_in()
    assert client.products, "it was written all the same"


def small(*texts: str, titles: tuple[str, ...], grades: dict[str, dict[str, int]]) -> GradedCatalogue:
    return GradedCatalogue(
        tuple(ShopProduct(id=f"P{number}", title=title) for number, title in enumerate(titles)),
        tuple(ShopQuery(f"q{number}", words) for number, words in enumerate(texts)),
        grades,
    )


def test_queries_that_word_search_would_miss_are_shown_first() -> None:
    catalogue = small(
        "velvet settee",
        "garden hose",
        "warm coat",
        titles=("Velvet sofa", "Garden hose 10 m", "Winter parka", "Down jacket"),
        grades={"q0": {"P0": EXACT}, "q1": {"P1": EXACT}, "q2": {"P2": EXACT, "P3": EXACT}},
    )
    assert [query.text for query in queries_beyond_words(catalogue, 5)] == ["warm coat", "velvet settee"]
    assert [query.text for query in queries_beyond_words(catalogue, 1)] == ["warm coat"]


def test_when_words_find_everything_the_first_queries_are_shown() -> None:
    catalogue = small("hose", titles=("Garden HOSE",), grades={"q0": {"P0": EXACT}})
    assert [query.text for query in queries_beyond_words(catalogue, 3)] == ["hose"]


def test_a_query_that_words_answer_with_a_lesser_grade_counts_as_missed() -> None:
    catalogue = small("hose", titles=("Garden hose", "Tube"), grades={"q0": {"P0": 2, "P1": EXACT}})
    assert [query.id for query in queries_beyond_words(catalogue, 3)] == ["q0"]


def test_a_grade_of_an_unknown_query_or_product_is_irrelevant() -> None:
    assert SALE.grade("nobody", SALE.products[0].id) == SALE.grade(SALE.queries[0].id, "nothing") == 0
