"""What goes over HTTP: every sample is read, an unknown key is ignored, a renamed one is an error."""

import json
from contextlib import suppress
from dataclasses import is_dataclass
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from schemas import collector_api, search_api, shard_api
from schemas.asyncapi import exports
from schemas.golden import golden

KINDS = {
    f"{module.__name__.removeprefix('schemas.')}.{kind.__name__}": kind
    for module in (collector_api, search_api, shard_api)
    for kind in module.CONTRACTS
}
ANSWERS = {name: kind for name, kind in KINDS.items() if not issubclass(kind, search_api.RequestPart)}
OPTIONAL = {"search_api.Problem": {".errors"}}
FREE = {"fields", "versions", "min_offsets", "kinds", "offsets", "written"}
"""Objects whose keys are the shop's own, or numbers."""
EVERY = pytest.mark.parametrize("name", KINDS)


def read(kind: Any, text: str | bytes) -> Any:
    return TypeAdapter(kind).validate_json(text)


def written(value: Any) -> Any:
    return json.loads(TypeAdapter(type(value)).dump_json(value, exclude_unset=True))


def renamings(node: Any, path: str = "") -> Any:
    """Give (path, renamed copy) for every key of a sample, however deep."""
    if isinstance(node, list):
        for number, child in enumerate(node):
            for where, copy in renamings(child, f"{path}.{number}"):
                yield where, [*node[:number], copy, *node[number + 1 :]]
    if isinstance(node, dict):
        for key, child in node.items():
            yield f"{path}.{key}", {f"{old}_2" if old == key else old: each for old, each in node.items()}
            if key not in FREE:
                for where, copy in renamings(child, f"{path}.{key}"):
                    yield where, {**node, key: copy}


@EVERY
def test_a_sample_is_read_and_written_as_it_was(name: str):
    assert written(read(KINDS[name], golden(name))) == json.loads(golden(name))


@EVERY
def test_a_sample_has_every_key(name: str):
    kind = KINDS[name]
    names = kind.model_fields if issubclass(kind, BaseModel) else kind.__dataclass_fields__
    sample = json.loads(golden(name))
    assert set(names) - sample.keys() <= ({"product_id", "text"} if "Similar" in name else set())


@pytest.mark.parametrize("name", ANSWERS)
def test_a_key_of_tomorrow_is_ignored(name: str):
    newer = json.dumps({**json.loads(golden(name)), "added_in_2031": {"a": [1]}})
    assert read(KINDS[name], newer) == read(KINDS[name], golden(name))


@EVERY
def test_a_renamed_key_is_an_error_wherever_it_is(name: str):
    accepted = []
    for path, renamed in renamings(json.loads(golden(name))):
        with suppress(ValidationError):
            read(KINDS[name], json.dumps(renamed))
            accepted.append(path)
    assert set(accepted) == OPTIONAL.get(name, set())


def test_a_renamed_key_is_tried_at_every_depth():
    paths = {path for path, _ in renamings(json.loads(golden("shard_api.ShardQueryAnswer")))}
    assert {".partitions", ".partitions.0.epoch", ".partitions.0.hits.0.offset"} <= paths
    assert ".partitions.0.hits.0.fields.title" not in paths


@pytest.mark.parametrize("module", [collector_api, search_api, shard_api], ids=lambda module: module.__name__)
def test_the_exported_schema_has_every_contract_and_fits_its_sample(module: Any):
    name = module.__name__.removeprefix("schemas.")
    document = json.loads(exports()[f"{name}.schema.json"])
    for kind in module.CONTRACTS:
        schema = {"$ref": f"#/$defs/{kind.__name__}", "$defs": document["$defs"]}
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.Draft202012Validator(schema).validate(json.loads(golden(f"{name}.{kind.__name__}")))


def test_what_a_shard_says_in_bulk_is_no_model_and_yet_checked():
    assert is_dataclass(shard_api.ShardHit)
    sample = json.loads(golden("shard_api.ShardQueryAnswer"))
    sample["partitions"][0]["hits"][0]["dense"] = "near"
    with pytest.raises(ValidationError, match=r"partitions\.0\.hits\.0\.dense"):
        shard_api.ShardQueryAnswer.decode(json.dumps(sample).encode())


def test_no_sample_is_of_a_contract_that_does_not_exist():
    samples = {file.name.removesuffix(".json") for file in files("schemas.golden").iterdir()}
    assert {
        name for name in samples if name.startswith(("collector_api.", "search_api.", "shard_api."))
    } == set(KINDS)
