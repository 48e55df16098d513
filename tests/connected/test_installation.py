"""A namespace of Redis is one installation's: whoever else comes is refused, and told what to do."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import httpx
import pytest
from redis.asyncio import Redis

from schemas.alerts import Alert
from schemas.topics import topic_spec
from shared.errors import ConfigurationError
from shared.infrastructure.process import free_port
from shared.infrastructure.topic_plan import difference, wanted_topic
from shared.infrastructure.topics import apply, connect
from shared.process.installation import adopt, enter
from shared.settings import Settings
from shared.state.installation import Installation, InstallationRecord
from tests.connected.killing import until
from tests.connected.publishing import last_alerts

pytestmark = [pytest.mark.connected, pytest.mark.timeout(120)]
OURS = Installation("cluster-a", "shop.", 4)


@pytest.fixture
async def redis(redis_url: str):
    async with Redis.from_url(redis_url) as client:
        yield client


async def test_the_first_one_counts_and_its_partitions_stay(redis: Redis, namespace: str) -> None:
    record = InstallationRecord(redis, namespace)
    several = [Installation("cluster-a", "shop.", partitions) for partitions in (4, 8, 2)]
    answers = await asyncio.gather(*(record.enter(ours) for ours in several))
    assert len(set(answers)) == 1
    assert await record.enter(OURS) == answers[0] == await record.read()


@pytest.mark.parametrize("other", [Installation("cluster-b", "shop.", 4), Installation("cluster-a", "", 4)])
async def test_another_cluster_or_prefix_is_refused_with_the_way_out(
    redis: Redis, namespace: str, other: Installation
) -> None:
    record = InstallationRecord(redis, namespace)
    await record.enter(OURS)
    with pytest.raises(ConfigurationError, match=r"HEADRACE_NAMESPACE .* `headrace adopt`") as refused:
        await record.enter(other)
    assert str(OURS) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert await record.read() == OURS
    assert await InstallationRecord(redis, namespace + "x").enter(other) == other


async def test_it_is_made_again_when_redis_was_emptied(redis: Redis, namespace: str) -> None:
    record = InstallationRecord(redis, namespace)
    await record.enter(OURS)
    assert await record.clear() == 1
    assert await record.read() is None
    assert await record.enter(OURS) == OURS


async def test_who_adopts_a_namespace_empties_it_and_no_other(
    redis: Redis, kafka: str, redis_url: str, topic_prefix: str, namespace: str
) -> None:
    settings = Settings.load(
        kafka=kafka, redis=redis_url, topic_prefix=topic_prefix, namespace=namespace, partitions=3
    )
    await apply(settings)
    await InstallationRecord(redis, namespace).enter(OURS)
    neighbour = f"{namespace}-b:installation"
    for key in (
        f"{namespace}:{{g1:catalogue.changes.v1-0}}:state",
        f"{{{namespace}:lease:x}}:epoch",
        neighbour,
    ):
        await redis.set(key, "1")
    with pytest.raises(ConfigurationError):
        await enter(settings)
    assert await adopt(settings) == 3
    assert (await enter(settings)).partitions == 3
    assert await redis.get(neighbour) == b"1"
    await redis.delete(neighbour)


async def test_what_is_configured_later_changes_no_number_of_partitions(
    kafka: str, redis_url: str, topic_prefix: str, namespace: str
) -> None:
    settings = Settings.load(
        kafka=kafka, redis=redis_url, topic_prefix=topic_prefix, namespace=namespace, partitions=3
    )
    await apply(settings)
    for configured in (3, 8, 1):
        later = settings.model_copy(update={"partitions": configured})
        await apply(later)
        assert (await enter(later)).partitions == 3


def worker(directory: Path, *, log: int | IO[str] = subprocess.PIPE, **given: str) -> "subprocess.Popen[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    given |= {"DATA_DIR": str(directory), "LOG__FORMAT": "json"}
    return subprocess.Popen(
        [sys.executable, "-m", "services.judgements"],
        env={**environment, **{f"HEADRACE_{name}": value for name, value in given.items()}},
        stderr=log,
        text=True,
    )


def test_a_worker_of_a_second_installation_refuses_to_start(
    kafka: str, redis_url: str, topic_prefix: str, namespace: str, tmp_path: Path
) -> None:
    settings = Settings.load(
        kafka=kafka, redis=redis_url, topic_prefix=topic_prefix, namespace=namespace, partitions=1
    )

    async def prepare() -> None:
        await apply(settings)
        async with Redis.from_url(redis_url) as redis:
            await InstallationRecord(redis, namespace).enter(OURS)

    asyncio.run(prepare())
    with worker(
        tmp_path, KAFKA=kafka, REDIS=redis_url, TOPIC_PREFIX=topic_prefix, NAMESPACE=namespace
    ) as process:
        _, log = process.communicate(timeout=60)
    assert process.returncode == 2
    [line] = [json.loads(line) for line in log.splitlines()]
    assert line["event"] == "worker.misconfigured"
    assert "headrace adopt" in line["error"]


def test_a_worker_that_waits_for_topics_says_so_like_any_other_pause(
    kafka: str, redis_url: str, topic_prefix: str, namespace: str, tmp_path: Path
) -> None:
    port = free_port()
    settings = Settings.load(kafka=kafka, redis=redis_url, topic_prefix=topic_prefix, namespace=namespace)
    spec = topic_spec(Alert.topic)
    assert spec is not None
    alerts_topic = wanted_topic(spec, settings)

    async def make_the_topic_of_alerts() -> None:
        async with connect(settings) as administration:
            await administration.carry_out(difference(alerts_topic, None), None)
            await administration.until(lambda names: alerts_topic.name in names)

    def said() -> str:
        alert = last_alerts(settings).get("paused:judgements:kafka.topics")
        return "" if alert is None else f"{alert.status}: {alert.summary}; {alert.action}"

    asyncio.run(make_the_topic_of_alerts())
    given = {"KAFKA": kafka, "REDIS": redis_url, "TOPIC_PREFIX": topic_prefix, "NAMESPACE": namespace}
    log = tmp_path / "log"
    with log.open("w") as lines, worker(tmp_path, log=lines, **given, JUDGEMENTS__PORT=str(port)) as process:
        try:
            until(lambda: said().startswith("firing: judgements waits: "), why=log.read_text)
            assert "headrace topics apply" in said()
            ready = httpx.get(f"http://127.0.0.1:{port}/readyz")
            assert (ready.status_code, list(ready.json()["paused"])) == (503, ["kafka.topics"])
            asyncio.run(apply(settings))
            until(lambda: said().startswith("resolved"), why=log.read_text)
            measured = httpx.get(f"http://127.0.0.1:{port}/metrics").text
            assert 'headrace_paused{cause="kafka.topics"}' not in measured
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
    assert process.returncode == 0


def test_a_worker_that_waits_for_its_broker_is_alive_and_ends_when_told(
    redis_url: str, tmp_path: Path
) -> None:
    port = free_port()
    given = {"KAFKA": f"127.0.0.1:{free_port()}", "REDIS": redis_url, "JUDGEMENTS__PORT": str(port)}
    with worker(tmp_path, **given) as process:
        assert process.stderr is not None
        url = next(
            line["url"] for line in map(json.loads, process.stderr) if line["event"] == "http.listening"
        )
        assert httpx.get(f"{url}/livez").status_code == 200
        ready = httpx.get(f"{url}/readyz")
        assert (ready.status_code, "broker" in ready.text) == (503, True)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0
