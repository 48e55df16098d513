"""An installation on this machine: which servers it keeps to, which ports it takes, when it has arrived."""

import json
import socket
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.lab import installation
from services.lab.arrival import ArrivalSpeed, last_of_each_partition
from services.lab.installation import keep_servers, usual_port
from services.lab.simulation.catalogue import ShopProduct
from shared.errors import ConfigurationError
from shared.infrastructure.process import free_port
from shared.kafka.partitioning import partition_of
from shared.settings import Settings

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def test_a_directory_keeps_to_the_servers_it_was_made_with(tmp_path) -> None:
    keep_servers(tmp_path / "d", "embedded broker, embedded Redis")
    keep_servers(tmp_path / "d", "embedded broker, embedded Redis")
    with pytest.raises(ConfigurationError, match="was made with embedded broker"):
        keep_servers(tmp_path / "d", "docker broker, docker Redis")


def test_the_usual_port_is_taken_unless_another_has_it() -> None:
    port = free_port()
    assert usual_port(port) == port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert usual_port(taken.getsockname()[1]) != taken.getsockname()[1]
    assert usual_port(0) != 0


def test_what_runs_here_is_used_and_nothing_is_started(monkeypatch, tmp_path, running_at) -> None:
    running_at(tmp_path, kafka="running:1")
    monkeypatch.delenv("HEADRACE_KAFKA", raising=False)
    with installation.running_or_started(("search",), tmp_path, None) as settings:
        assert settings.kafka == "running:1"


def watched(monkeypatch, tmp_path, *kinds: str) -> list[str] | None:
    """Return whom the monitor of an installation of these workers is told to miss."""
    monkeypatch.chdir(tmp_path)
    stack = installation.local_stack(Settings(data_dir=tmp_path), kinds)
    [monitor] = [spec for spec in stack._specs if spec.kind == "monitor"]
    told = monitor.environment.get("HEADRACE_MONITOR__FRESHNESS__WORKERS")
    return None if told is None else json.loads(told)


def test_the_monitor_is_told_which_workers_are_started_with_it(monkeypatch, tmp_path) -> None:
    kinds = ("shards", "embedder", "search", "monitor")
    assert watched(monkeypatch, tmp_path, *kinds) == ["embedder", "search", "shards"]


def test_what_is_set_for_the_monitor_stays(monkeypatch, tmp_path) -> None:
    (tmp_path / "headrace.toml").write_text("[monitor.freshness]\nworkers = ['trainer']\n")
    assert watched(monkeypatch, tmp_path, "shards", "monitor") is None


def product(number: int) -> ShopProduct:
    return ShopProduct(id=f"P{number}", title="x")


@given(st.lists(st.integers(0, 99), unique=True), st.integers(1, 8))
def test_when_the_last_of_each_partition_is_there_all_are(numbers: list[int], partitions: int) -> None:
    products = [product(number) for number in numbers]
    last = last_of_each_partition(products, partitions)
    positions = {each.id: position for position, each in enumerate(products)}
    by_partition = {partition_of(each.encode(), partitions): positions[each] for each in last}
    assert len(by_partition) == len(last)
    for each in products:
        assert positions[each.id] <= by_partition[partition_of(each.id.encode(), partitions)]


def test_the_start_of_the_workers_does_not_count_as_slowness() -> None:
    speed = ArrivalSpeed()
    assert speed.at(100, 0) == 0
    assert speed.at(110, 50) == 0, "in the first second it would be a guess"
    assert speed.at(110.5, 90) == 0
    assert speed.at(112, 200) == 100
    assert speed.at(120, 200) == 20
