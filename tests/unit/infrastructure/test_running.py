"""A running installation is found, and everything that was set on purpose goes before it."""

import os
import subprocess
from pathlib import Path

import pytest

from shared.infrastructure.running import FILE, KEPT_SECRET, Running, discover, forget, read, shared_secret
from shared.section import Section
from shared.settings import Port, Settings


class SearchSettings(Section):
    port: Port = 8800
    k: int = 10


class SearchingSettings(Settings):
    search: SearchSettings = SearchSettings()


RUNNING = Running(
    pid=os.getpid(),
    kafka="127.0.0.1:1111",
    redis="redis://:secret@127.0.0.1:2222/0",
    namespace="headrace",
    topic_prefix="",
    partitions=8,
    generation="g3",
    ports={"search": 3333},
    cluster_secret="a-secret-of-24-signs----",  # noqa: S106 - of no installation
)


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_addresses_and_shared_settings_come_from_the_running_installation(tmp_path: Path) -> None:
    RUNNING.write(tmp_path)
    found = discover(SearchingSettings.load(data_dir=tmp_path))
    assert (found.kafka, found.partitions, found.generation) == ("127.0.0.1:1111", 8, "g3")
    assert found.redis.get_secret_value() == "redis://:secret@127.0.0.1:2222/0"
    assert found.search == SearchSettings(port=3333, k=10)
    assert found.cluster.headers == {"Authorization": "Bearer a-secret-of-24-signs----"}


def test_a_directory_keeps_its_secret_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    secret = shared_secret(tmp_path)
    assert shared_secret(tmp_path) == secret != shared_secret(tmp_path / "other")
    assert (tmp_path / KEPT_SECRET).stat().st_mode & 0o777 == 0o600


def test_flag_environment_and_file_go_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    RUNNING.write(tmp_path)
    (tmp_path / "headrace.toml").write_text("generation = 'g9'\n")
    monkeypatch.setenv("HEADRACE_SEARCH__PORT", "4444")
    found = discover(SearchingSettings.load(data_dir=tmp_path, kafka="broker:9092"))
    assert (found.kafka, found.generation, found.search.port) == ("broker:9092", "g9", 4444)
    assert found.partitions == 8


def test_without_one_the_settings_stay_as_they_are(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path)
    assert discover(settings) is settings


def test_what_a_dead_process_left_behind_is_not_believed(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    RUNNING.model_copy(update={"pid": dead.pid}).write(tmp_path)
    assert read(tmp_path) is None


def test_a_torn_file_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"pid": 1')
    assert read(tmp_path) is None


def test_only_its_owner_may_read_the_file_and_it_can_be_forgotten(tmp_path: Path) -> None:
    RUNNING.write(tmp_path)
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
    forget(tmp_path)
    forget(tmp_path)
    assert read(tmp_path) is None
