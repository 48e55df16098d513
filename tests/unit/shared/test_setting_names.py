"""A setting that does not exist is named, with the nearest that does, wherever it was written."""

import os
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import pytest
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from services.search.settings import Settings as SearchSettings
from shared.errors import ConfigurationError
from shared.infrastructure.workers import WORKERS
from shared.settings import WORKER_SECTIONS, Settings

WORKER_KINDS = [spec.kind for spec in WORKERS]


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def refusal(kind: type[Settings] = Settings) -> str:
    with pytest.raises(ConfigurationError) as refused:
        kind.load()
    return str(refused.value).removeprefix("configuration: ")


def test_the_sections_of_all_workers_are_known():
    modules = [import_module(f"services.{spec.kind}.settings") for spec in WORKERS]
    added = {name for module in modules for name in module.Settings.model_fields}
    assert added - Settings.model_fields.keys() == {*WORKER_SECTIONS}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("HEADRACE_KAFKAA", "HEADRACE_KAFKA"),
        ("HEADRACE_PARTITION", "HEADRACE_PARTITIONS"),
        ("HEADRACE_SERACH__PORT", "HEADRACE_SEARCH__PORT"),
        ("HEADRACE_SEARCH_BUDGET", "HEADRACE_SEARCH__BUDGET"),
        ("headrace_redi", "HEADRACE_REDIS"),
    ],
)
def test_a_variable_that_is_none_is_told_with_the_one_that_is_meant(monkeypatch, written, meant):
    monkeypatch.setenv(written, "1")
    assert refusal() == f"{written} is no setting: did you mean {meant}?"


def test_a_variable_that_is_like_no_other_is_told(monkeypatch):
    monkeypatch.setenv("HEADRACE_QUUX", "1")
    assert refusal() == "HEADRACE_QUUX is no setting (`headrace config show`)"


def test_a_section_or_a_name_of_the_file_is_told():
    Path("headrace.toml").write_text("partition = 8\n[serach]\nport = 9000\n")
    assert refusal() == (
        "headrace.toml: partition is no setting: did you mean partitions?; "
        "headrace.toml: serach is no setting: did you mean search?"
    )


@pytest.mark.parametrize(
    ("name", "meant"), [("prt", "search.port"), ("reranker__wight", "search.reranker.weight")]
)
def test_a_name_inside_a_section_is_told_by_the_worker_whose_it_is(monkeypatch, name, meant):
    monkeypatch.setenv(f"HEADRACE_SEARCH__{name.upper()}", "1")
    assert refusal(SearchSettings) == f"search.{name.replace('__', '.')} is no setting: did you mean {meant}?"


def test_what_another_worker_knows_is_no_mistake(monkeypatch):
    monkeypatch.setenv("HEADRACE_TRAINER__NICE", "10")
    Settings.load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEADRACE_SEARCH_SERVICE_HOST", "10.0.0.7"),
        ("HEADRACE_SEARCH_SERVICE_PORT_HTTP", "8800"),
        ("HEADRACE_SEARCH_PORT", "tcp://10.0.0.7:8800"),
        ("HEADRACE_SEARCH_PORT_8800_TCP_ADDR", "10.0.0.7"),
    ],
)
def test_what_kubernetes_sets_by_itself_is_no_mistake(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    Settings.load()


def test_a_table_that_is_not_json_is_told_in_one_line(monkeypatch):
    monkeypatch.setenv("HEADRACE_CATALOGUE__SOURCES", "prices=part")
    assert refusal() == (
        "a value of catalogue is not JSON, which lists and tables are written in: HEADRACE_CATALOGUE__SOURCES"
    )


def test_a_span_of_time_that_is_none_is_told_with_the_forms_there_are(monkeypatch):
    monkeypatch.setenv("HEADRACE_SEARCH__TIMEOUT", "150")
    assert refusal(SearchSettings).startswith(
        "search.timeout: '150' is no span of time: 150s? (write 150ms, "
    )
    monkeypatch.setenv("HEADRACE_SEARCH__TIMEOUT", "150ms")
    assert SearchSettings.load().search.timeout.total_seconds() == 0.15


def spans_of_time(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from spans_of_time(field.annotation, f"{prefix}{name}.")
        elif field.annotation is timedelta:
            yield prefix + name, field


@pytest.mark.parametrize("worker", WORKER_KINDS)
def test_every_span_of_time_is_read_in_all_the_forms(worker):
    settings = import_module(f"services.{worker}.settings").Settings
    plain = [
        name
        for name, field in spans_of_time(settings)
        if not any(isinstance(each, BeforeValidator) for each in field.metadata)
    ]
    assert plain == []
