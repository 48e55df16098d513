"""A setting that has another name now is refused by name, never ignored."""

import os
from importlib import import_module

import pytest

from services.search.settings import Settings as SearchSettings
from shared.errors import ConfigurationError
from shared.setting_names import RENAMED
from shared.settings import Settings

WORKERS = (
    "embedder",
    "shards",
    "search",
    "judgements",
    "negatives",
    "monitor",
    "trainer",
    "rollout",
    "collector",
)


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", [Settings, SearchSettings])
def test_an_old_variable_is_refused_with_the_new_one_by_every_worker(kind, monkeypatch):
    monkeypatch.setenv("HEADRACE_SEARCH__LAST_STAGE__MODEL", "/models/pairs")
    with pytest.raises(ConfigurationError, match="LAST_STAGE__MODEL is now HEADRACE_SEARCH__RERANKER__MODEL"):
        kind.load()


def test_every_old_name_is_told_at_once(monkeypatch):
    monkeypatch.setenv("HEADRACE_SEARCH__LAST_STAGE", '{"depth": 5}')
    monkeypatch.setenv("HEADRACE_SEARCH__LAST_STAGE__DEPTH", "5")
    with pytest.raises(ConfigurationError) as refused:
        Settings.load()
    assert str(refused.value).count(" is now ") == 2


def test_an_old_section_of_the_file_is_refused_with_the_new_one(tmp_path):
    (tmp_path / "headrace.toml").write_text("[search.last_stage]\ndepth = 5\n")
    with pytest.raises(ConfigurationError, match=r"search\.last_stage in headrace\.toml is now search\.rera"):
        Settings.load()


def test_an_old_name_inside_a_section_given_whole_is_refused_too(monkeypatch):
    monkeypatch.setenv("HEADRACE_SEARCH", '{"last_stage": {"depth": 5}}')
    with pytest.raises(ConfigurationError, match=r"search\.last_stage is now search\.reranker"):
        SearchSettings.load()


def test_what_only_begins_like_an_old_name_is_left_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("HEADRACE_SEARCH__LAST_STAGED", "1")
    (tmp_path / "headrace.toml").write_text("search = 1\n")
    assert Settings.load().partitions == 4


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_name_is_none_of_today_and_its_new_name_is(old):
    workers = [
        import_module(f"services.{worker}.settings").Settings.load().model_dump() for worker in WORKERS
    ]

    def reach(name):
        values = workers
        for part in name.split("."):
            values = [value[part] for value in values if isinstance(value, dict) and part in value]
        return values

    assert reach(old) == []
    assert reach(RENAMED[old]) != []
