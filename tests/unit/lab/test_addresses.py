"""Commands find the workers: as set, else of what runs here, else by default."""

import os
from pathlib import Path

import pytest

from services.lab.addresses import KINDS, url, urls
from services.lab.search_client import token
from shared.settings import Settings
from tests.command_line import leave_running


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def run_here(ports: dict[str, int]) -> None:
    leave_running(Settings.load().data_dir, ports)


def test_without_anything_they_are_at_their_default_ports_on_this_machine() -> None:
    found = urls(Settings.load())
    assert set(found) == set(KINDS)
    assert found["search"] == "http://127.0.0.1:8800"


def test_what_runs_here_is_found_with_every_worker_of_a_kind() -> None:
    run_here({"search": 3333, "shards": 4444, "shards-2": 5555})
    assert urls(Settings.load()) == {
        "search": "http://127.0.0.1:3333",
        "shards": "http://127.0.0.1:4444",
        "shards-2": "http://127.0.0.1:5555",
    }


def test_what_is_set_goes_before_what_runs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    run_here({"search": 3333})
    monkeypatch.setenv("HEADRACE_SEARCH__PORT", "8888")
    assert url("search", Settings.load()) == "http://127.0.0.1:8888"


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("HEADRACE_REACH", "{worker}", "http://search:8800"),
        ("HEADRACE_REACH", "{worker}.shop.svc", "http://search.shop.svc:8800"),
        ("HEADRACE_REACH", "::1", "http://[::1]:8800"),
        ("HEADRACE_HOST", "::", "http://127.0.0.1:8800"),
        ("HEADRACE_HOST", "10.0.0.5", "http://10.0.0.5:8800"),
    ],
)
def test_the_host_is_where_they_can_be_reached(
    variable: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert url("search", Settings.load()) == expected


def test_a_search_that_wants_a_token_gets_its_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert token() == ""
    monkeypatch.setenv("HEADRACE_SEARCH__TOKENS", '["one", "two"]')
    assert token() == "one"
