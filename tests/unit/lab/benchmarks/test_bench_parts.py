"""Small parts of the benches: bounds, a second language, live changes, where a log comes to rest."""

import re
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.progress import Progress

from schemas.catalogue import ProductChange
from services.lab import search_client
from services.lab.benchmarks import harness, judgements, loading
from services.lab.benchmarks.click_model_ablation import OTHER_SHOPPERS, SHOWN, agreements, offline, simulated
from services.lab.benchmarks.embedding import WARM, bare_seconds
from services.lab.benchmarks.harness import Moment
from services.lab.benchmarks.judgements import PUBLISHED, WORKER, quiet
from services.lab.benchmarks.spanish import WORDS, translated
from services.lab.simulation import shop
from services.lab.simulation.shoppers import ClickModel
from shared.errors import TransientError
from shared.settings import Settings
from shared.testing.encoder import FakeEncoder
from shared.testing.publisher import MemoryPublisher
from tests.unit.lab.answers import search_answer

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SALE = shop.sample(size=300, queries=10)


@given(st.lists(st.sampled_from(sorted(WORDS)) | st.text("xyz0123456789 -", max_size=6), max_size=8))
def test_every_known_word_is_translated_and_the_rest_stays(words: list[str]) -> None:
    text = " ".join(words)
    found = translated(text)
    assert found.startswith("comprar ")
    rest = found.removeprefix("comprar ")
    assert re.findall(r"\d+", rest) == re.findall(r"\d+", text)
    assert not {
        word for word in re.findall(r"[^\W\d_]+", rest.lower()) if WORDS.get(word, word) != word
    } - set(WORDS.values())


def test_a_query_in_the_other_language_is_another_text() -> None:
    assert translated("red Shoes for women") == "comprar rojo zapatos para mujer"


def test_the_bare_loop_embeds_every_text_once_after_a_warm_up() -> None:
    encoder = FakeEncoder(8)
    texts = [f"lamp {number}" for number in range(3 * WARM + 5)]
    assert bare_seconds(encoder, texts) > 0
    assert encoder.embedded == WARM + len(texts)
    assert max(encoder.calls) == WARM


def test_the_token_of_the_configured_search_is_its_first(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_SEARCH__TOKENS", '["one", "two"]')
    assert search_client.token() == "one"
    monkeypatch.setenv("HEADRACE_SEARCH__TOKENS", "[]")
    assert search_client.token() == ""


def test_a_client_goes_where_it_is_told(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    with search_client.configured("http://elsewhere:1") as client:
        assert client.url == "http://elsewhere:1"
    with search_client.client_of(Settings(data_dir=tmp_path)) as client:
        assert client.url.startswith("http://127.0.0.1:")


class Index:
    """A search that shows what was published, at once."""

    def __init__(self, publisher: MemoryPublisher) -> None:
        self.publisher = publisher

    def search(self, text: str, **_: object):
        alive = set()
        for message in self.publisher.messages:
            change = ProductChange.decode(message.value or b"")
            (alive.discard if change.op == "delete" else alive.add)(change.product_id)
        return search_answer([each for each in alive if each == text])


def test_live_changes_are_written_and_deleted_one_by_one(monkeypatch) -> None:
    publisher = MemoryPublisher()
    monkeypatch.setattr(loading, "KafkaPublisher", lambda _: publisher)
    progress = Progress(disable=True)
    rows = loading.live_changes(Settings(), Index(publisher), 3, progress=progress)  # type: ignore[arg-type]
    assert [row.name for row in rows] == ["freshness p50", "freshness p99", "delete p99"]
    operations = [ProductChange.decode(message.value or b"").op for message in publisher.messages]
    assert operations == ["upsert", "delete"] * 3
    assert progress.tasks[0].completed == 3


def test_a_change_that_search_never_shows_is_an_error(monkeypatch) -> None:
    publisher = MemoryPublisher()
    monkeypatch.setattr(loading, "KafkaPublisher", lambda _: publisher)
    monkeypatch.setattr(loading, "CHANGE_SECONDS", 0.02)
    with pytest.raises(TransientError, match=r"was not seen by search within 0\.02 s"):
        loading.live_changes(Settings(), Index(MemoryPublisher()), 1, progress=Progress(disable=True))  # type: ignore[arg-type]


def moment(time: float, handled: float, published: float = 0.0) -> Moment:
    counted = {"headrace_applied_total": handled, PUBLISHED: published}
    return Moment(time, {WORKER: counted}, {WORKER: 0.0})


def looking(*moments: Moment):
    return iter(moments).__next__


@pytest.fixture
def _at_once(monkeypatch) -> None:
    monkeypatch.setattr(judgements, "LOOK_SECONDS", 0.0)


@pytest.mark.usefixtures("_at_once")
def test_what_is_still_published_is_work_too() -> None:
    look = looking(moment(1, 100, 5), moment(4, 100, 9), moment(8, 100, 9), moment(14, 100, 9))
    assert quiet(look, moment(0, 0), least=100).time == 4


@pytest.mark.usefixtures("_at_once")
def test_it_is_not_quiet_before_all_is_handled() -> None:
    look = looking(moment(1, 50), moment(60, 50), moment(61, 100), moment(75, 100))
    assert quiet(look, moment(0, 0), least=100).time == 61


@pytest.mark.usefixtures("_at_once")
def test_a_worker_that_does_nothing_is_an_error() -> None:
    look = looking(moment(1, 50), moment(2 + harness.STALLED_SECONDS, 50))
    with pytest.raises(TransientError, match="judgements does nothing, and 100 messages are not handled yet"):
        quiet(look, moment(0, 0), least=100)


def test_a_log_is_the_same_for_its_seed_and_in_order_of_arrival() -> None:
    first, second, other = (simulated(SALE, 60, seed, until=NOON) for seed in (1, 1, 2))
    assert first.arrivals == second.arrivals != other.arrivals
    times = [arrival.time for arrival in first.arrivals]
    assert times == sorted(times)
    assert first.sessions == 60


def test_rates_are_compared_for_every_least_number_of_impressions() -> None:
    log = simulated(SALE, 200, 1, until=NOON)
    compared = offline(log)
    assert tuple(compared) == SHOWN
    pairs = [raw.pairs for raw, _ in compared.values()]
    assert pairs == sorted(pairs, reverse=True)
    assert all(raw.pairs == corrected.pairs for raw, corrected in compared.values())


def test_raw_ctr_agrees_with_the_truth_as_itself() -> None:
    log = simulated(SALE, 200, 1, until=NOON)
    for raw, corrected in agreements(log.truth, {}).values():
        assert raw.pairs == corrected.pairs == 0


def test_other_shoppers_look_otherwise_than_the_simulator_s() -> None:
    own = [ClickModel().looked_at(position) for position in range(1, 11)]
    for name, model in OTHER_SHOPPERS.items():
        assert [model.looked_at(position) for position in range(1, 11)] != pytest.approx(own), name


def test_a_fresh_installation_has_names_of_its_own(monkeypatch) -> None:
    seen = []

    class Stack:
        def __init__(self, settings, **_: object) -> None:
            self.settings = settings

        def __enter__(self):
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def wait_ready(self, *, within) -> None:
            seen.append(within)

    monkeypatch.setattr(harness, "Stack", Stack)
    monkeypatch.setattr(harness, "choose_broker", lambda *_, **__: SimpleNamespace())
    monkeypatch.setattr(harness, "choose_redis", lambda *_, **__: SimpleNamespace())
    with harness.fresh(("search",), None) as first, harness.fresh(("search",), None) as second:
        names = [stack.settings.namespace for stack in (first, second)]
        assert len(set(names)) == 2
        assert first.settings.topic_prefix == f"{names[0]}."
        assert first.settings.data_dir.is_dir()
    assert not first.settings.data_dir.exists()
    assert seen == [harness.READY] * 2


def test_a_kind_that_is_named_twice_has_two_workers() -> None:
    kinds = ("embedder", "shards", "embedder", "embedder")
    names = [harness._name(kinds, number) for number in range(len(kinds))]
    assert names == ["embedder", "shards", "embedder-2", "embedder-3"]
