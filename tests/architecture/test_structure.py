"""The structure holds: names, layers, one disposition an error, one golden sample a topic."""

import ast
import importlib.metadata
import inspect
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest

import schemas
import services
import shared
from schemas.base import Message
from schemas.topics import TOPICS, all_topics, index_records
from shared import errors

ROOT = Path(__file__).parents[2]
OURS = {"schemas", "shared", "services"}
WORKERS = ("embedder", "shards", "search", "judgements", "negatives", "monitor")


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


@pytest.mark.parametrize("package", [schemas, shared, services], ids=lambda package: package.__name__)
def test_every_folder_of_modules_is_a_package(package):
    folder = Path(package.__path__[0])
    folders = {file.parent for file in folder.rglob("*.py")}
    assert [str(each) for each in folders if not (each / "__init__.py").exists()] == []


@pytest.mark.parametrize("worker", WORKERS)
def test_a_worker_reads_like_a_sentence(worker):
    folder = ROOT / "services" / worker
    assert {"__init__.py", "__main__.py", "app.py", "settings.py", "domain"} <= {
        path.name for path in folder.iterdir()
    }
    text = (import_module(f"services.{worker}").__doc__ or "").lower()
    for promise in ("consumes", "produces", "guarantees"):
        assert promise in text, f"services/{worker}/__init__.py does not say what it {promise}"


def test_every_error_that_a_worker_can_raise_has_one_disposition():
    dispositions = (errors.TransientError, errors.PoisonError, errors.FatalError)
    ours = [
        kind
        for name in (*modules(schemas), *modules(shared), *modules(services))
        if not name.endswith("__main__") and not name.startswith("services.cli")
        for _, kind in inspect.getmembers(import_module(name), inspect.isclass)
        if issubclass(kind, errors.HeadraceError) and kind is not errors.HeadraceError
    ]
    undecided = {kind for kind in ours if sum(issubclass(kind, each) for each in dispositions) != 1}
    assert undecided == set()


def test_topics_have_one_name_each_and_say_their_version():
    names = [topic.name for topic in all_topics("g1")]
    assert len(names) == len(set(names))
    assert all(re.search(r"\.v\d+(\.dlq)?$|^index\.records\.g1$", name) for name in names)


def test_every_message_has_a_topic_and_every_topic_a_golden_sample():
    messages = {topic.message for topic in (*TOPICS, index_records("g1"))}
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


def test_functions_stay_short():
    long = {}
    for name in OURS:
        for path in (ROOT / name).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    lines = (node.end_lineno or 0) - node.lineno + 1
                    if lines > 45:
                        long[f"{path.relative_to(ROOT)}:{node.name}"] = lines
    assert long == {}
