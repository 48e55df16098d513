"""`headrace bench search`: what is asked, what is held against what, and when a load test fails."""

import numpy as np
import orjson
import pytest

from schemas.index import IndexRecord
from schemas.search_api import SearchRequest
from services.embedder.settings import EmbedderSettings
from services.lab.benchmarks import search_material, search_peers
from services.lab.benchmarks.load_run import LoadResult
from services.lab.benchmarks.load_test import LoadObjective, broken
from services.lab.benchmarks.load_test import rows as load_rows
from services.lab.benchmarks.search import EngineFigures, rows
from services.lab.benchmarks.search import broken as search_broken
from services.lab.benchmarks.search_engines import SHARES, Kind, search_body
from services.lab.benchmarks.search_material import IndexedProducts, Questions, questions
from services.lab.benchmarks.search_opensearch import bulk, mapping, query
from services.lab.benchmarks.vectors import WrittenVector, records
from services.lab.benchmarks.watched_changes import SeenChange
from services.lab.report import ReportRow
from shared.catalogue.plain_text import normal_form
from shared.clock import SystemClock
from shared.testing.encoder import FakeEncoder

KEPT = {"known query p50", "known query p99", "new query p50", "new query p99", "searches a second"}
KINDS: list[Kind] = ["hybrid", "lexical", "dense", "filtered 10 %", "filtered 1 %"]


def load(*milliseconds: float, seconds: float = 1.0, **errors: int) -> LoadResult:
    result = LoadResult([one / 1000 for one in milliseconds], seconds=seconds, cpu=0.1)
    result.errors.update(errors)
    return result


def figures(milliseconds: float, rate: int) -> EngineFigures:
    one = load(*[milliseconds] * 10)
    return EngineFigures(
        one,
        load(*[milliseconds] * rate),
        {"search": 1.5, "shards": 0.5},
        dict.fromkeys(KINDS[1:], one),
        one,
        1.0,
    )


def by_name(made) -> dict[str, ReportRow]:
    return {row.name: row for row in made}


def test_the_names_that_must_stay_are_there_with_and_without_opensearch():
    alone, beside = (by_name(rows(figures(4, 100), other, [], 10)) for other in (None, figures(8, 400)))
    assert KEPT <= alone.keys() <= beside.keys()


def test_opensearch_is_the_bound_where_it_was_measured_and_else_the_goal():
    beside = by_name(rows(figures(4, 100), figures(8, 400), [], 10))
    assert beside["known query p50"].ratio == pytest.approx(0.5)
    assert beside["searches a second"].ratio == pytest.approx(0.25)
    alone = by_name(rows(figures(4, 100), None, [], 10))
    assert (alone["known query p50"].bound, alone["searches a second"].bound) == (5, 200)
    assert (alone["CPU a search"].value, alone["CPU a search"].note.split(",")[0]) == (2, "search 1.5")
    assert beside["new query p50"].bound == alone["new query p50"].bound == 15


def test_searches_that_failed_are_counted_and_said():
    good, bad = figures(4, 100), figures(4, 100)
    bad.busy.errors.update({"503": 6})
    assert search_broken(good) == []
    assert search_broken(bad) == ["6 of 166 searches failed: 6 times 503"]


@pytest.fixture
def products(sale) -> IndexedProducts:
    vectors = FakeEncoder(16).encode_documents([product.title for product in sale.products[:300]])
    chosen = sale.products[:300]
    return IndexedProducts([one.id for one in chosen], [one.fields() for one in chosen], vectors)


@pytest.fixture
def asked(sale, products) -> Questions:
    return questions(sale, products, FakeEncoder(16))


def test_what_was_never_asked_is_none_of_what_is_known_and_comes_once(asked):
    known = {normal_form(text) for text in asked.known}
    new = [normal_form(text) for text in asked.new]
    assert len(set(new)) == len(new) > 0
    assert not known & set(new)
    assert len(asked.vectors) == len(asked.known)


def test_filters_select_about_the_share_that_they_are_named_for(products, asked):
    for share, price in asked.cheaper.items():
        selected = sum(fields.get("price", 1e9) < price for fields in products.fields)
        assert 0 <= selected <= share * len(products.ids)


@pytest.mark.parametrize("kind", KINDS)
def test_both_engines_are_asked_the_same(asked, kind):
    below = asked.cheaper.get(SHARES.get(kind, 0.0))
    ours = SearchRequest.model_validate(search_body(asked.known[0], kind, below=below))
    theirs = query(asked.known[0], asked.vectors[0], kind, below=below)
    assert (ours.k, ours.text) == (theirs["size"], asked.known[0])
    asked_by_words, asked_by_vector = (word in str(theirs["query"]) for word in ("match", "knn"))
    assert asked_by_words == (ours.mode != "dense")
    assert asked_by_vector == (ours.mode != "lexical")
    assert str(theirs["query"]).count("range") == len(ours.filters) * 2


def test_a_bulk_request_has_every_document_with_its_vector(products):
    lines = [orjson.loads(line) for line in bulk(products, 3, 8).splitlines()]
    assert [line["index"]["_id"] for line in lines[::2]] == products.ids[3:8]
    assert np.allclose([line["vector"] for line in lines[1::2]], products.vectors[3:8])
    declared = mapping(16)["mappings"]["properties"]
    assert all(line.keys() <= declared.keys() for line in lines[1::2])


def test_copies_lie_near_their_originals_and_have_ids_of_their_own(sale):
    encoder, some = FakeEncoder(16), sale.products[:4]
    vectors = encoder.encode_documents([product.title for product in some])
    history = [WrittenVector(number, number) for number in range(4)]
    now = SystemClock().now()
    originals = [IndexRecord.decode(one.value) for one in records(history, vectors, some, encoder, now)]
    copies = [copy for portion in search_material._copies(originals, 10) for copy in portion]
    assert len({copy.product_id for copy in (*originals, *copies)}) == 14
    for number, copy in enumerate(copies):
        vector = search_material._vectors(copy)[0]
        assert np.linalg.norm(vector) == pytest.approx(1, abs=0.01)
        assert vector @ vectors[number % 4] > 0.7
        assert copy.document == originals[number % 4].document


def test_a_peer_that_is_not_installed_is_told(products, asked, monkeypatch):
    monkeypatch.setattr(search_peers, "PEERS", {"usearch": "no_such_package"})
    said: list[str] = []
    made, truth = search_peers.measure(products, asked, say=said.append)
    assert said == ["usearch is not installed and not measured"]
    assert [row.name for row in made] == ["FAISS flat p50"]
    assert "recall@10 1.000" in made[0].note
    assert truth == [[int(row) for row in (-products.vectors @ one).argsort()[:10]] for one in asked.vectors]


def test_a_peer_that_cannot_be_loaded_is_told_and_the_rest_goes_on(products, asked, monkeypatch):
    monkeypatch.setattr(search_peers, "PEERS", {"usearch": "json"})
    said: list[str] = []
    made, _ = search_peers.measure(products, asked, say=said.append)
    assert said[0].startswith("usearch is not measured: No module named 'usearch'")
    assert len(made) == 1


def test_recall_is_the_share_of_the_right_ones():
    assert search_peers.recall([[1, 2], [3, 4]], [[1, 9], [4, 3]]) == 0.75


OBJECTIVE = LoadObjective(rate=10, seconds=1, p99=50, freshness=300)
SEEN = [SeenChange(0.0, "price change", 0.1)]


def test_a_load_that_meets_its_objective_breaks_nothing():
    assert broken(load(10, 20, 49), SEEN, OBJECTIVE) == []


@pytest.mark.parametrize(
    ("result", "observations", "sentence"),
    [
        (load(10, 60), SEEN, "99 % of the searches took 60.0 ms, more than 50"),
        (load(10, **{"429": 3}), SEEN, "3 of 4 searches failed: 3 times 429"),
        (load(), SEEN, "0 of 0 searches failed: "),
        (load(10), [SeenChange(0.0, "price change", None)], "1 price changes were never seen"),
        (
            load(10),
            [SeenChange(0.0, "price change", 0.4)],
            "99 % of the price changes took 400 ms, more than 300",
        ),
    ],
)
def test_each_objective_that_is_missed_is_said(result, observations, sentence):
    assert broken(result, observations, OBJECTIVE) == [sentence]


def test_a_generator_that_was_late_is_said_beside_what_was_missed():
    late = load(60)
    late.late = 0.2
    assert broken(late, SEEN, OBJECTIVE)[-1].startswith("the load generator itself was up to 200 ms late")


def test_a_load_test_reports_its_objective_as_the_bound():
    made = by_name(load_rows(load(10, 20), SEEN, OBJECTIVE))
    assert (made["search p99"].bound, made["price change p99"].bound) == (50, 300)
    assert made["searches a second"].ratio == pytest.approx(0.2)


def test_the_text_of_a_product_is_its_title_as_opensearch_has_it():
    assert EmbedderSettings().text == ("{title|name|description}",)
