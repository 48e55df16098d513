"""Settings: flags over environment over file over defaults; what is wrong is named; secrets stay secret."""

import os
import socket
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from shared.errors import ConfigurationError
from shared.settings import (
    ClusterSettings,
    GenerationSettings,
    HttpSettings,
    LogSettings,
    ModelSettings,
    Settings,
    environment,
    use_file,
)

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
SECTIONS = {
    "cluster": ClusterSettings,
    "generations": GenerationSettings,
    "http": HttpSettings,
    "log": LogSettings,
    "model": ModelSettings,
}


@pytest.fixture(autouse=True)
def _nothing_is_set(tmp_path: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as context:
        for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
            context.delenv(name)
        context.chdir(tmp_path)
        yield


def toml(text: str, name: str = "headrace.toml") -> Path:
    file = Path(name)
    file.write_text(text)
    return file


# Where a value comes from

VALUES = {
    "partitions": ("16", "partitions = 16", 16),
    "namespace": ("shop", "namespace = 'shop'", "shop"),
    "log.level": ("debug", "[log]\nlevel = 'debug'", "debug"),
    "model.max_tokens": ("64", "[model]\nmax_tokens = 64", 64),
    "generations.patience": ("PT90S", "[generations]\npatience = 90", timedelta(seconds=90)),
}


def value(settings: Settings, name: str) -> object:
    setting: object = settings
    for part in name.split("."):
        setting = getattr(setting, part)
    return setting


@pytest.mark.parametrize("name", VALUES)
def test_a_setting_is_read_from_the_environment_and_from_the_file(name, monkeypatch):
    text, line, expected = VALUES[name]
    default = value(Settings.load(), name)
    toml(line)
    assert value(Settings.load(), name) == expected != default
    toml("")
    monkeypatch.setenv("HEADRACE_" + name.replace(".", "__").upper(), text)
    assert value(Settings.load(), name) == expected


@given(flag=st.none() | st.just(1), variable=st.none() | st.just(2), line=st.none() | st.just(3))
def test_a_flag_goes_before_the_environment_before_the_file_before_the_default(flag, variable, line):
    with pytest.MonkeyPatch.context() as context:
        if variable is not None:
            context.setenv("HEADRACE_PARTITIONS", str(variable))
        toml("" if line is None else f"partitions = {line}")
        given_ = [source for source in (flag, variable, line) if source is not None]
        assert Settings.load(partitions=flag).partitions == (given_ or [4])[0]


def test_of_one_section_each_setting_has_its_own_source(monkeypatch):
    toml("[model]\nmax_tokens = 64\nthreads = 2")
    monkeypatch.setenv("HEADRACE_MODEL__THREADS", "3")
    model = Settings.load().model
    assert (model.max_tokens, model.threads, model.precision) == (64, 3, "auto")


def test_an_empty_variable_is_none(monkeypatch):
    monkeypatch.setenv("HEADRACE_PARTITIONS", "")
    assert Settings.load().partitions == 4


def test_variables_are_read_in_any_case(monkeypatch):
    monkeypatch.setenv("headrace_partitions", "7")
    assert Settings.load().partitions == 7


def test_another_file_can_be_named_and_is_known_to_child_processes(tmp_path):
    with pytest.MonkeyPatch.context() as context:
        context.setenv("HEADRACE_CONFIG", "")
        use_file(toml("partitions = 9", "own.toml"))
        assert environment()["HEADRACE_CONFIG"] == str(tmp_path / "own.toml")
        assert Settings.load().partitions == 9


def test_a_flag_that_is_not_given_is_no_flag():
    assert Settings.load(partitions=None, generation=None) == Settings.load()


# What is wrong


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("partitions", ["0", "1025", "many", "1.5"]),
        ("replication", ["0", "8"]),
        ("namespace", ["Shop", "a b", "x" * 33, "a:b"]),
        ("topic_prefix", ["a b", "ä", "x" * 65]),
        ("generation", ["G1", "-g", "g_1"]),
        ("log__level", ["loud"]),
        ("log__format", ["xml"]),
        ("model__max_tokens", ["7", "8193"]),
        ("model__device", ["tpu"]),
        ("model__threads", ["-1"]),
        ("generations__patience", ["-PT1S", "P8D", "soon"]),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_the_name_of_its_setting(name, bad, monkeypatch):
    for text in bad:
        monkeypatch.setenv(f"HEADRACE_{name.upper()}", text)
        with pytest.raises(ConfigurationError, match=rf"^configuration: {name.replace('__', '.')}: "):
            Settings.load()


def test_everything_that_is_wrong_is_told_at_once(monkeypatch):
    monkeypatch.setenv("HEADRACE_PARTITIONS", "0")
    toml("namespace = 'A'\n[log]\nlevel = 'loud'")
    with pytest.raises(ConfigurationError) as refused:
        Settings.load()
    faults = str(refused.value).removeprefix("configuration: ").split("; ")
    assert {fault.partition(":")[0] for fault in faults} == {"partitions", "namespace", "log.level"}


@pytest.mark.parametrize("section", SECTIONS)
def test_a_name_that_a_section_has_not_is_refused(section, monkeypatch):
    toml(f"[{section}]\nno_such_setting = 1")
    with pytest.raises(ConfigurationError, match=rf"{section}\.no_such_setting is no setting"):
        Settings.load()


@pytest.mark.parametrize("worker", WORKERS)
def test_no_section_of_any_worker_takes_a_name_that_it_has_not(worker):
    settings = import_module(f"services.{worker}.settings").Settings
    groups = {
        name: field.annotation
        for name, field in settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    }
    parts_of_others = {name for name, group in groups.items() if group.model_config.get("extra") == "ignore"}
    assert parts_of_others <= set(WORKERS) - {worker}
    sections = groups.keys() - parts_of_others
    assert sections > SECTIONS.keys()
    for name in sections:
        toml(f"[{name}]\nno_such_setting = 1")
        with pytest.raises(ConfigurationError, match=rf"{name}\.no_such_setting"):
            settings.load()


def worker_sections(worker):
    return import_module(f"services.{worker}.settings").Settings.model_fields


@pytest.mark.parametrize("worker", WORKERS)
def test_a_section_of_another_worker_is_no_business_of_this_one(worker):
    other = next(kind for kind in WORKERS if kind not in worker_sections(worker))
    toml(f"[{other}]\nno_such_setting = 1")
    assert import_module(f"services.{worker}.settings").Settings.load()


def test_a_file_that_is_no_toml_is_refused_with_the_place():
    toml("partitions = = 3")
    with pytest.raises(ConfigurationError, match=r"configuration file is not TOML: .*line 1"):
        Settings.load()


@pytest.mark.parametrize("worker", WORKERS)
def test_settings_are_never_changed_after_they_were_read(worker):
    settings = import_module(f"services.{worker}.settings").Settings.load()
    with pytest.raises(ValidationError, match="frozen"):
        settings.partitions = 3
    with pytest.raises(ValidationError, match="frozen"):
        settings.model.threads = 3


# Secrets


def test_a_secret_is_in_no_text_that_settings_are_shown_as(monkeypatch):
    monkeypatch.setenv("HEADRACE_REDIS", "redis://:hunter2@cache/0")
    monkeypatch.setenv("HEADRACE_KAFKA_SECURITY__TLS", "true")
    monkeypatch.setenv("HEADRACE_KAFKA_SECURITY__PASSWORD", "hunter3")
    settings = Settings.load()
    for shown in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())):
        assert "hunter" not in shown
    assert settings.redis.get_secret_value() == "redis://:hunter2@cache/0"


def test_a_secret_is_not_in_the_error_of_another_setting(monkeypatch):
    monkeypatch.setenv("HEADRACE_REDIS", "redis://:hunter2@cache/0")
    monkeypatch.setenv("HEADRACE_KAFKA_SECURITY__SASL_MECHANISM", "PLAIN")
    monkeypatch.setenv("HEADRACE_KAFKA_SECURITY__PASSWORD", "hunter3")
    with pytest.raises(ConfigurationError, match=r"kafka_security: .*in the clear") as refused:
        Settings.load()
    assert "hunter" not in str(refused.value)


# Who and where


def test_a_worker_is_called_as_configured_else_by_machine_and_process():
    assert Settings(instance="shards-2").member == "shards-2"
    assert Settings().member == f"{socket.gethostname()}-{os.getpid()}"


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "http://127.0.0.1:8800"),
        ({"host": "10.0.0.7"}, "http://10.0.0.7:8800"),
        ({"host": "0.0.0.0"}, "http://127.0.0.1:8800"),  # noqa: S104 - compared, not bound
        ({"host": "::"}, "http://127.0.0.1:8800"),
        ({"host": "::1"}, "http://[::1]:8800"),
        ({"host": "10.0.0.7", "reach": "{worker}.shop"}, "http://search.shop:8800"),
        ({"reach": "gateway"}, "http://gateway:8800"),
    ],
)
def test_commands_reach_a_worker_where_it_listens_or_where_it_is_said_to(settings, url):
    assert Settings(**settings).url("search", 8800) == url
