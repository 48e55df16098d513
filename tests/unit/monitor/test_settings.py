"""A section a feature; old names are refused with the new ones, and each default stands in one place."""

from dataclasses import fields
from datetime import timedelta

import pytest
from pydantic import ValidationError

from services.monitor.drift.domain.rules import DetectorRule, DriftRule
from services.monitor.drift.settings import DriftSettings
from services.monitor.settings import RENAMED, MonitorSettings, Settings
from shared.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_is_refused_with_the_new_one(old, new, monkeypatch):
    monkeypatch.setenv(f"HEADRACE_MONITOR__{old.upper()}", "{}")
    with pytest.raises(ConfigurationError) as refusal:
        Settings.load()
    assert f"monitor.{old} is called monitor.{new} now" in str(refusal.value)


def test_every_old_name_that_was_given_is_named():
    with pytest.raises(ValidationError, match=r"monitor\.pace is called .*; monitor\.workers is called"):
        MonitorSettings.model_validate({"workers": [], "pace": {}})


@pytest.mark.parametrize("new", RENAMED.values())
def test_a_new_name_exists(new):
    value = MonitorSettings()
    for name in new.split("."):
        value = getattr(value, name)


def test_a_file_that_has_an_old_name_is_refused_too(tmp_path):
    (tmp_path / "headrace.toml").write_text("[monitor]\nshards_every = 'PT1S'\n")
    with pytest.raises(ConfigurationError, match=r"monitor\.freshness\.every"):
        Settings.load()


def test_sections_are_read_from_file_and_environment(tmp_path, monkeypatch):
    (tmp_path / "headrace.toml").write_text(
        "[monitor.canaries.pace]\ninterval = 'PT5S'\n[monitor.drift]\nretrain = true\n"
    )
    monkeypatch.setenv("HEADRACE_MONITOR__FRESHNESS__WORKERS", '["embedder"]')
    monkeypatch.setenv("HEADRACE_MONITOR__ANSWERS__RULE__MINIMUM", "7")
    sections = Settings.load().monitor
    assert sections.canaries.pace.interval == timedelta(seconds=5)
    assert sections.drift.retrain
    assert sections.freshness.workers == {"embedder"}
    assert sections.answers.rule.minimum == 7


@pytest.mark.parametrize(
    "given",
    [
        {"nonsense": 1},
        {"alerts": {"nonsense": 1}},
        {"canaries": {"pace": {"intervall": 5}}},
        {"canaries": {"rule": {"nonsense": 1}}},
        {"canaries": {"alerts": {"fire_afer": 1}}},
        {"answers": {"rule": {"nonsense": 1}}},
        {"freshness": {"objective": {"freshness_p95": 1}}},
        {"freshness": {"workers": ["monitor"]}},
        {"drift": {"nonsense": 1}},
        {"drift": {"window": 0}},
        {"drift": {"memory": 1}},
        {"drift": {"learn": 19}},
        {"drift": {"remember": 99}},
        {"drift": {"probes": 25}},
        {"drift": {"season": "year"}},
        {"concurrency": 0},
    ],
)
def test_what_does_not_exist_or_makes_no_sense_is_refused(given):
    with pytest.raises(ValidationError):
        MonitorSettings.model_validate(given)


def test_what_drift_decides_by_has_its_defaults_in_the_domain():
    assert DriftSettings().rule == DriftRule()
    assert DriftSettings().detector_rule == DetectorRule()


@pytest.mark.parametrize("name", [field.name for field in fields(DriftRule)])
def test_what_is_set_for_drift_reaches_its_rule(name):
    settings = DriftSettings.model_validate({name: timedelta(hours=5)})
    assert getattr(settings.rule, name) == timedelta(hours=5)


@pytest.mark.parametrize(
    ("name", "value"), [("season", "day"), ("memory", 3), ("learn", 44), ("remember", 555)]
)
def test_what_is_set_for_detectors_reaches_their_rule(name, value):
    settings = DriftSettings.model_validate({name: value})
    assert getattr(settings.detector_rule, name) == value


def test_a_token_is_never_printed():
    settings = MonitorSettings.model_validate({"search_token": "secret"})
    assert "secret" not in repr(settings)
    assert settings.search_token.get_secret_value() == "secret"
