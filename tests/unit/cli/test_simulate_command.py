"""`headrace simulate`: the truth that it writes down, and what it says of a run."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from services.cli.simulate import _report, _save
from services.lab.simulation import shop
from services.lab.simulation.delivery import DeliveryReport
from services.lab.simulation.shoppers import ClickModel
from services.lab.simulation.traffic import Ranker, Simulation, Traffic, stream

UNTIL = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    catalogue = shop.sample(size=200, queries=5)
    simulation = Simulation(catalogue, ClickModel(), Traffic(sessions=60, until=UNTIL, robots=0.1))
    for _ in stream(simulation, Ranker.blurred(catalogue, seed=1)):
        pass
    return simulation


def test_the_truth_has_traffic_model_and_every_pair(simulation, tmp_path) -> None:
    _save(simulation, tmp_path / "truth.json")
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert set(truth) == {"traffic", "model", "pairs"}
    assert truth["traffic"]["span"] == timedelta(days=7).total_seconds()
    assert truth["traffic"]["until"].startswith("2026-03-01")
    assert truth["model"]["position_bias"] == ClickModel().position_bias
    keys = {"query", "product_id", "grade", "appeal", "shoppers", "robots"}
    assert all(set(row) == keys for row in truth["pairs"])
    assert (
        sum(row["shoppers"].get("click", 0) for row in truth["pairs"]) == simulation.truth.totals()["click"]
    )


def test_a_run_as_json_counts_messages_and_actions(simulation, capsys) -> None:
    _report(simulation, DeliveryReport(messages=10, searches=3, refused=1), 2.5, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert set(shown) == {"messages", "searches", "refused", "seconds", "actions", "robot_actions"}
    assert shown["actions"] == dict(simulation.truth.totals())
    assert shown["robot_actions"] > 0


def test_a_run_as_a_table_fits_the_terminal(simulation, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _report(simulation, DeliveryReport(messages=12_345), 2.5, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert "12,345 messages in 2.5 s" in lines[0]
    assert any("impression" in line for line in lines)
    assert any("robots' impressions and clicks" in line for line in lines)
    assert max(map(len, lines)) <= 80
