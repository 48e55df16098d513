"""Logs of the past, loaded into an installation that has traffic of today: judged by their own days."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.judgements import Judgement
from schemas.search import SearchEvent, SearchQuery
from services.judgements.reading import read_judgements
from services.judgements.settings import Settings
from shared.infrastructure.stack import Stack
from shared.ports import outgoing
from tests.command_line import TERMINAL
from tests.connected.installation import installation
from tests.connected.killing import until_ready
from tests.connected.publishing import publish

pytestmark = [pytest.mark.connected, pytest.mark.timeout(240)]
PATIENCE = 60
NOW = datetime.now(UTC)
THEN = NOW - timedelta(days=20)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with installation(tmp_path_factory.mktemp("history"), ("judgements",)) as stack:
        until_ready(stack)
        today = [
            SearchQuery(
                query_id=f"now-{n}", user_query="today", timestamp=NOW, query_response_object_ids=("A",)
            )
            for n in range(40)  # so that the clock of every partition is of today
        ]
        clicks = [
            SearchEvent(
                action_name="click",
                timestamp=NOW,
                query_id=query.query_id,
                event_attributes={"object": {"object_id": "A"}},
            )
            for query in today
        ]
        publish(stack.settings, [outgoing(message) for message in (*today, *clicks)])
        assert judged(stack, "today")["A"].actions["click"].count == 40
        yield stack


def judged(stack: Stack, query: str, *, clicks: int = 40) -> dict[str, Judgement]:
    """Return the judgements of a query, once there are so many clicks on its products."""
    settings, deadline = Settings.model_validate(stack.settings.model_dump()), time.monotonic() + PATIENCE
    while True:
        known = asyncio.run(read_judgements(settings))
        products = {judgement.product_id: judgement for judgement in known if judgement.query == query}
        counted = sum(one.actions["click"].count for one in products.values() if "click" in one.actions)
        if counted >= clicks:
            return products
        assert time.monotonic() < deadline, products


def headrace(stack: Stack, *arguments: str) -> dict[str, object]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    own = {"HEADRACE_DATA_DIR": str(stack.settings.data_dir)}
    command = [sys.executable, "-m", "services.cli.main", *arguments, "--json"]
    done = subprocess.run(
        command,
        env={**environment, **TERMINAL, **own},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)  # type: ignore[no-any-return]  # JSON


def test_rows_of_a_log_are_searches_that_count_on_their_own_days(stack: Stack, tmp_path: Path) -> None:
    rows = ["query,product,action,time,client,position"]
    for visitor in range(30):
        at = (THEN + timedelta(minutes=visitor)).isoformat()
        rows += [
            f"boots,{product},impression,{at},v{visitor},{place}" for place, product in ((2, "B"), (1, "A"))
        ]
        rows.append(f"boots,B,click,{at},v{visitor},2")
    file = tmp_path / "log.csv"
    file.write_text("\n".join(rows))
    said = headrace(stack, "load", "--events", str(file))["events"]
    assert (said["loaded"], said["lost"], said["flawed"]) == (90, 0, 0)  # type: ignore[index]  # JSON
    products = judged(stack, "boots", clicks=30)
    assert (products["B"].impressions, products["B"].actions["click"].count) == (30, 30)
    assert (products["A"].impressions, products["B"].shoppers) == (30, 30)
    headrace(stack, "load", "--events", str(file), "--restart")  # once more: nothing counts twice
    assert headrace(stack, "verify", "judgements")["differences"] == []
    assert judged(stack, "boots", clicks=30)["B"].actions["click"].count == 30


def test_lines_of_ubi_are_loaded_as_they_are(stack: Stack, tmp_path: Path) -> None:
    queries = [
        {
            "query_id": f"old-{n}",
            "user_query": "socks",
            "client_id": "one visitor",  # more in an hour of loading than a person asks in an hour
            "timestamp": (THEN + timedelta(minutes=10 * n)).isoformat(),
            "query_response_hit_ids": ["S", "T"],
        }
        for n in range(400)
    ]
    events = [
        {
            "action_name": "click",
            "query_id": query["query_id"],
            "client_id": "one visitor",
            "timestamp": query["timestamp"],
            "event_attributes": {"object": {"object_id": "S"}},
        }
        for query in queries
    ]
    file = tmp_path / "ubi.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in (*events, *queries)))
    said = headrace(stack, "load", "--queries", str(file), "--events", str(file))
    assert [said[name]["loaded"] for name in ("queries", "events")] == [400, 400]  # type: ignore[index]  # JSON
    products = judged(stack, "socks", clicks=400)
    assert (products["S"].impressions, products["T"].impressions) == (400, 400)
    assert headrace(stack, "verify", "judgements")["differences"] == []
