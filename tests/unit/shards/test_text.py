"""Words: any text may be asked, titles count more, both scores are there in hybrid mode."""

import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.filters import TermFilter
from schemas.index import IndexRecord
from services.shards.records import entry
from services.shards.searching import ViewQuery
from shared.errors import PoisonError
from shared.records import Record
from tests.unit.shards.builders import EAST, LOG, NORTH, NOW, SOUTH, log, message, opened


@pytest.fixture
def shard(place):
    found = opened(place)
    yield found
    found.close()


def test_any_text_may_be_asked(shard):
    shard.apply(log(message("a", NORTH, fields={"title": "AND a:b [x TO y] ~ café"})), 1)

    @settings(max_examples=200, suppress_health_check=list(HealthCheck), deadline=None)
    @given(st.text(max_size=40) | st.text('"()[]{}^~*?:\\/+-!&|AND OR NOT TO', max_size=20))
    def ask(text):
        shard.view.search(ViewQuery(text=text, vector=NORTH, k=3))

    ask()
    assert shard.view.search(ViewQuery(text="CAFE", mode="lexical"))
    assert shard.view.search(ViewQuery(text="word " * 5000, mode="lexical")) == []


def test_a_word_in_the_title_counts_more_than_in_the_text(shard):
    filler = {"bullets": ("a b c", "shoe"), "brand": "x"}
    shard.apply(
        log(
            message("text", NORTH, fields={"title": "hat", **filler}),
            message("title", NORTH, fields={"title": "shoe", "bullets": ("a b c", "hat"), "brand": "x"}),
        ),
        2,
    )
    assert [hit.product_id for hit in by_words(shard, "shoes")] == ["title", "text"]


def test_markup_and_addresses_are_no_words(shard):
    html = (
        '<table class="specs"><tr><td>Scr&ouml;en</td></tr></table><img src="http://cdn.example.com/a.png">'
    )
    shard.apply(log(message("p", NORTH, fields={"title": "ＳＯＮＹ hat", "body_html": html})), 1)
    found = {
        word: bool(by_words(shard, word)) for word in ("table", "specs", "example", "ouml", "scroen", "sony")
    }
    assert found == {word: word in {"scroen", "sony"} for word in found}
    (hit,) = by_words(shard, "ｈａｔ")
    assert (hit.product_id, hit.fields["title"]) == ("p", "ＳＯＮＹ hat")


def by_words(shard, text):
    return sorted(shard.view.search(ViewQuery(text=text, mode="lexical")), key=lambda hit: -hit.lexical)


def test_hybrid_fills_both_scores_for_every_candidate(shard):
    shard.apply(
        log(
            message("near", NORTH, fields={"title": "red hat"}),
            message("far", SOUTH, fields={"title": "red red shoe"}),
            message("neither", EAST, fields={"title": "sock"}),
        ),
        3,
    )
    hits = {hit.product_id: hit for hit in shard.view.search(ViewQuery(vector=NORTH, text="red shoe", k=1))}
    assert sorted(hits) == ["far", "near"]
    assert hits["far"].dense == pytest.approx(-1)
    assert hits["near"].lexical == pytest.approx(by_words(shard, "red shoe")[1].lexical)
    everything = shard.view.search(ViewQuery(vector=NORTH, text="red shoe", k=3))
    assert {hit.product_id: hit.lexical for hit in everything}["neither"] is None


def test_an_explanation_gives_scores_ranks_and_what_excludes(shard):
    shard.apply(
        log(
            message("a", NORTH, fields={"title": "red hat", "size": 1}),
            message("b", EAST, fields={"title": "red shoe", "size": 2}),
        ),
        2,
    )
    found = shard.view.explain("b", ViewQuery(vector=NORTH, text="red shoe"))
    assert (found.dense.score, found.dense.rank) == (pytest.approx(0), 2)
    assert found.lexical.rank == 1
    condition = TermFilter(op="term", field="size", value=1)
    found = shard.view.explain("b", ViewQuery(vector=NORTH, text="red shoe", filters=(condition,)))
    assert found.excluded_by == [condition]
    assert (found.dense.score, found.dense.rank) == (pytest.approx(0), None)
    assert shard.view.explain("nobody", ViewQuery(vector=NORTH)) is None


@pytest.mark.parametrize(
    ("vectors", "reason"),
    [
        ([[float("nan")] * 4], "vectors.not_finite"),
        ([[float("inf"), 0, 0, 0]], "vectors.not_finite"),
        ([[0, 0, 0, 0]], "vectors.norm"),
        ([[3, 0, 0, 0]], "vectors.norm"),
    ],
)
def test_a_vector_that_would_spoil_the_index_is_poison(vectors, reason):
    with pytest.raises(PoisonError) as caught:
        log(message("a", *vectors))
    assert caught.value.reason == reason


def test_vectors_of_the_wrong_size_are_poison():
    with pytest.raises(PoisonError) as caught:
        log(message("a", NORTH, dimensions=5))
    assert caught.value.reason == "vectors.size"
    with pytest.raises(PoisonError) as caught:
        entry(Record(LOG, 0, b"a", b"{", NOW))
    assert caught.value.reason == "record.invalid"


def test_other_dimensions_are_poison_before_anything_changes(shard):
    shard.apply(log(message("a", NORTH)), 1)
    longer = message("b", [1.0, 0, 0, 0, 0])
    with pytest.raises(PoisonError, match="5 dimensions, the shard has 4"):
        shard.apply(log(message("c", NORTH), longer, start=1), 3)
    assert shard.view.documents == 1
    assert shard.view.next_offset == 1


@pytest.mark.skipif("HEADRACE_DATA" not in os.environ, reason="HEADRACE_DATA names no data set")
def test_real_products_are_found_by_their_titles(shard):
    with gzip.open(Path(os.environ["HEADRACE_DATA"]) / "esci" / "docs.jsonl.gz", "rt") as lines:
        products = [json.loads(line) for line in lines][:2000]
    records: list[IndexRecord] = [
        message(
            each.pop("id"), NORTH, fields={k: tuple(v) if isinstance(v, list) else v for k, v in each.items()}
        )
        for each in products
    ]
    shard.apply(log(*records), len(records))
    found = sum(
        by_words(shard, str(each.document.fields["title"]))[0].fields["title"]
        == each.document.fields["title"]
        for each in records[::20]
    )
    assert found >= 95
