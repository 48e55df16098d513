"""`headrace search` before the real API, over HTTP."""

import asyncio
import json
from functools import partial

import pytest
import typer
from typer.testing import CliRunner

from schemas.fields import FieldsResponse
from schemas.search import SearchQuery
from schemas.search_api import SearchResponse, WhyResponse
from services.cli.fields import fields
from services.cli.search import app
from shared.errors import ConfigurationError, PoisonError, TransientError
from shared.generations.fitted import FittedParameters
from shared.process.http import HttpServer


@pytest.fixture
async def running(open_api, shop, monkeypatch, tmp_path):
    """Return a function that runs a command; while it waits, the API answers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    await open_api()
    server = HttpServer(shop.app, host="127.0.0.1", port=0)
    await server.start()

    async def run(app, *arguments):
        result = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--url", server.url])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.output

    yield run
    await server.stop()


@pytest.fixture
def command(running):
    return partial(running, app)


@pytest.fixture
def fields_command(running):
    listing = typer.Typer()
    listing.command()(fields)
    return partial(running, listing)


async def test_hits_are_a_table_with_their_scores_and_where_they_lie(command):
    output = await command("red shoe", "--k", "2", "--mode", "dense")
    header, first, second, summary = output.splitlines()
    assert header.split() == ["product", "title", "price", "score", "dense", "words", "from"]
    assert first.split()[:5] == ["1", "p1", "red", "shoe", "30.00"]
    assert first.split()[-2] == "head"
    assert second.split()[1] == "p5"
    assert summary.startswith("2 of generation g1, dense, in ")


async def test_during_a_trial_each_hit_has_its_team(trial, command):
    output = await command("red shoe", "--k", "2", "--session", "session-0", "--query-id", "Q", "--log")
    header, first, second, said, summary = output.splitlines()
    assert header.split()[:2] == ["team", "product"]
    assert {first.split()[1], second.split()[1]} == {"A", "B"}
    assert said == "trial trial-g2: team A is the live generation's, B the candidate's"
    assert summary.endswith("query Q")


async def test_filters_are_given_to_the_api(command):
    output = await command("sock", "--filter", "price<5", "--filter", "brand=Toe,Acme")
    assert "p4" in output
    assert "p3" not in output


async def test_json_is_the_answer_of_the_api(command):
    answer = SearchResponse.model_validate(json.loads(await command("red shoe", "--json")))
    assert answer.hits[0].product_id == "p1"
    why = WhyResponse.model_validate(json.loads(await command("red shoe", "--why", "p2", "--json")))
    assert why.product_id == "p2"


async def test_a_rank_is_explained_in_words(command):
    output = await command("red shoe", "--why", "p1")
    assert output.splitlines()[0] == "p1: number 1 for 'red shoe' (hybrid)"
    assert output.splitlines()[-1] == "  together that makes it number 1"
    assert (await command("red shoe", "--why", "p99")).startswith("p99: not found for 'red shoe'")


async def test_what_is_missing_and_what_is_weak_is_said(command, shop):
    shop.fits["g1"] = FittedParameters(threshold=1.5)
    shop.owners = shop.owners[:1]
    output = await command("red shoe")
    assert "no hit is similar enough to be right" in output
    assert "shard 1 is missing: no owner serves this partition" in output


async def test_nothing_found_is_said(command):
    assert (await command("red", "--mode", "lexical", "--filter", "price>1000")).startswith("nothing found")


async def test_a_refusal_is_told_with_its_fix(command, shop):
    with pytest.raises(PoisonError, match=r"an empty query finds nothing \(give `text` at least one word"):
        await command(" ")
    shop.network.gone.add("a")
    with pytest.raises(TransientError, match="no shard could answer"):
        await command("red shoe")


async def test_only_with_log_does_a_search_count_as_a_shoppers(command, shop):
    assert (await command("red shoe")).rstrip().endswith("(not counted: --log)")
    assert "not counted" not in await command("blue sock", "--log")
    await shop.log.stop()
    assert [SearchQuery.decode(each.value).user_query for each in shop.published.messages] == ["blue sock"]


async def test_a_filter_that_is_none_is_told(command):
    for text, told in (("price<<150", "'<150' begins with a sign"), ("red", "is not a filter")):
        with pytest.raises(ConfigurationError, match=told):
            await command("red", "--filter", text)
    with pytest.raises(PoisonError, match="did you mean `brand`"):
        await command("red", "--filter", "brnad=Acme")


async def test_fields_are_listed(fields_command):
    header, brand, price, title, summary = (await fields_command()).splitlines()
    assert header.split() == ["field", "kind", "filled", "values"]
    assert brand.split()[:4] == ["brand", "text", "100", "%"]
    assert price.split() == ["price", "number", "100", "%", "4", "to", "90"]
    assert title.split()[:2] == ["title", "text"]
    assert summary == "6 products of generation g1"
    assert FieldsResponse.model_validate_json(await fields_command("--json")).documents == 6
