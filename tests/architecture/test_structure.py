"""The structure holds: names, layers, one disposition an error, one golden sample a topic."""

import ast
import importlib.metadata
import inspect
import pkgutil
import re
from collections import defaultdict
from importlib import import_module
from pathlib import Path

import pytest

import headrace
import schemas
import services
import shared
from schemas.base import Message
from schemas.topics import TOPICS, all_topics, index_records
from services.cli.worker import Name
from services.monitor.freshness.domain.work import expected_work
from shared import errors
from shared.infrastructure import stack
from shared.streaming.heartbeat import ReaderHeartbeat
from tests.architecture.syntax import syntax

ROOT = Path(__file__).parents[2]
OURS = {"schemas", "shared", "headrace", "services"}
NO_WORKERS = {"cli", "lab", "loader"}
"""The command, what proves the product, and what a command loads files by."""
WORKERS = sorted(
    folder.name
    for folder in (ROOT / "services").iterdir()
    if (folder / "__init__.py").exists() and folder.name not in NO_WORKERS
)


def modules(package):
    yield package.__name__
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        yield found.name


def test_no_dependency_ships_one_of_our_top_level_names():
    owners = importlib.metadata.packages_distributions()
    assert {name: set(owners.get(name, [])) for name in OURS} == {name: {"headrace"} for name in OURS}


def test_the_distribution_can_not_be_uploaded_by_accident():
    classifiers = importlib.metadata.metadata("headrace").get_all("Classifier")
    assert "Private :: Do Not Upload" in classifiers


@pytest.mark.parametrize(
    "package", [schemas, shared, headrace, services], ids=lambda package: package.__name__
)
def test_every_folder_of_modules_is_a_package(package):
    folder = Path(package.__path__[0])
    folders = {file.parent for file in folder.rglob("*.py")}
    assert [str(each) for each in folders if not (each / "__init__.py").exists()] == []


@pytest.mark.parametrize("worker", WORKERS)
def test_a_worker_reads_like_a_sentence(worker):
    folder = ROOT / "services" / worker
    assert {"__init__.py", "__main__.py", "app.py", "settings.py"} <= {path.name for path in folder.iterdir()}
    assert [*folder.glob("domain"), *folder.glob("*/domain")], f"services/{worker} decides nowhere"
    text = (import_module(f"services.{worker}").__doc__ or "").lower()
    for promise in ("consumes", "produces", "guarantees"):
        assert promise in text, f"services/{worker}/__init__.py does not say what it {promise}"


def test_every_worker_can_be_run_by_its_name_and_by_the_stack():
    assert sorted(Name) == WORKERS
    assert sorted({spec.kind for spec in stack.WORKERS}) == WORKERS


@pytest.mark.parametrize(
    "work", [work for work in expected_work(()) if not work.shared_out], ids=lambda work: work.worker
)
def test_a_worker_that_is_missed_by_the_topics_it_follows_announces_them(work, tmp_path):
    settings = import_module(f"services.{work.worker}.settings").Settings(data_dir=tmp_path)
    worker = import_module(f"services.{work.worker}.app").build(settings)
    heartbeats = [one for one in worker._components._components if isinstance(one, ReaderHeartbeat)]
    assert [heartbeat._reading.name for heartbeat in heartbeats] == [work.reading]


def test_every_error_that_a_worker_can_raise_has_one_disposition():
    dispositions = (
        errors.TransientError,
        errors.PoisonError,
        errors.SkippedError,
        errors.RewindError,
        errors.FatalError,
    )
    ours = [
        kind
        for name in (*modules(schemas), *modules(shared), *modules(headrace), *modules(services))
        if not name.endswith("__main__") and not name.startswith(("services.cli", "services.lab"))
        for _, kind in inspect.getmembers(import_module(name), inspect.isclass)
        if issubclass(kind, errors.HeadraceError) and kind is not errors.HeadraceError
    ]
    undecided = {kind for kind in ours if sum(issubclass(kind, each) for each in dispositions) != 1}
    assert undecided == set()


def test_topics_have_one_name_each_and_say_their_version():
    names = [topic.name for topic in all_topics("g1")]
    assert len(names) == len(set(names))
    assert all(
        re.search(r"\.v\d+(\.dlq|\.repartition)?$|^index\.records\.g1(\.dlq)?$", name) for name in names
    )


def test_every_message_has_a_topic_and_every_topic_a_golden_sample():
    topics = (*TOPICS, index_records("g1"))
    messages = {kind for topic in topics for kind in (topic.message, *topic.also)}
    assert {kind for kind in Message.__subclasses__() if kind.__module__.startswith("schemas.")} == messages
    golden = {path.name for path in (ROOT / "schemas" / "golden").glob("*.json")}
    assert {f"{kind.topic}.json" for kind in messages} <= golden


def test_a_message_of_any_version_keeps_what_it_does_not_know_out_of_the_way():
    for kind in {topic.message for topic in TOPICS}:
        sample = (ROOT / "schemas" / "golden" / f"{kind.topic}.json").read_bytes()
        newer = sample.rstrip()[:-1] + b', "a_field_of_tomorrow": {"x": [1]}}'
        assert kind.decode(newer) == kind.decode(sample)


def test_no_file_is_long_and_no_module_has_an_empty_name():
    vague = {"utils", "helpers", "common", "manager", "misc", "util", "helper"}
    files = [path for name in OURS for path in (ROOT / name).rglob("*.py")]
    assert [str(path) for path in files if path.stem in vague] == []
    assert {str(path): lines for path in files if (lines := len(path.read_text().splitlines())) > 320} == {}


VAGUE_LOCALS = {"found", "it", "told", "each"}


def vague_locals(path):
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in VAGUE_LOCALS:
            yield f"{path.relative_to(ROOT)}:{node.lineno} {node.id}"
        if isinstance(node, ast.arg) and node.arg in VAGUE_LOCALS:
            yield f"{path.relative_to(ROOT)}:{node.lineno} {node.arg}"


def test_locals_are_nouns_of_what_they_hold():
    files = [path for name in OURS for path in (ROOT / name).rglob("*.py")]
    assert [vague for path in files for vague in vague_locals(path)] == []


def test_a_public_class_name_means_one_thing():
    homes = defaultdict(set)
    for name in OURS:
        for path in (ROOT / name).rglob("*.py"):
            for node in syntax(path).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    homes[node.name].add(str(path.relative_to(ROOT)))
    del homes["Settings"]  # every worker has one, in its settings.py
    assert {name: sorted(files) for name, files in homes.items() if len(files) > 1} == {}


def test_functions_stay_short():
    long = {}
    for name in OURS:
        for path in (ROOT / name).rglob("*.py"):
            for node in ast.walk(syntax(path)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    lines = (node.end_lineno or 0) - node.lineno + 1
                    if lines > 45:
                        long[f"{path.relative_to(ROOT)}:{node.name}"] = lines
    assert long == {}
