"""Whoever checks messages by the exported JSON Schema accepts what we write, and refuses rubbish."""

import json

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.asyncapi import asyncapi, exports, json_schema
from schemas.base import Message
from schemas.golden import golden
from tests.unit.schemas.strategies import MESSAGES

TYPES = sorted(MESSAGES, key=lambda kind: kind.__name__)
VALIDATORS = {kind: jsonschema.Draft202012Validator(json_schema(kind)) for kind in TYPES}
EVERY_TYPE = pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)


@EVERY_TYPE
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_message_that_is_written_satisfies_its_schema(kind: type[Message], data: st.DataObject):
    message = data.draw(MESSAGES[kind])
    assert [error.message for error in VALIDATORS[kind].iter_errors(json.loads(message.as_json()))] == []


@EVERY_TYPE
def test_a_required_field_is_required_in_the_schema_too(kind: type[Message]):
    sample = json.loads(golden(kind.topic))
    required = {field.alias or name for name, field in kind.model_fields.items() if field.is_required()}
    assert set(json_schema(kind)["required"]) == required
    for name in required:
        assert not VALIDATORS[kind].is_valid({key: sample[key] for key in sample.keys() - {name}})


@EVERY_TYPE
def test_what_the_schema_accepts_in_the_place_of_a_field_the_reader_accepts(kind: type[Message]):
    """Over the values that go wrong most: other types, empty, negative, and long ones."""
    sample = json.loads(golden(kind.topic))
    for name in sample:
        for value in (None, True, -1, 1.5, "", "a b", "x" * 200, [], {}, ["a"], {"a": "b"}):
            changed = {**sample, name: value}
            if VALIDATORS[kind].is_valid(changed) and "format" not in str(
                json_schema(kind)["properties"][name]
            ):
                assert reads(kind, changed), (name, value)


def reads(kind: type[Message], tree: object) -> bool:
    try:
        kind.decode(json.dumps(tree).encode())
    except ValidationError:
        return False
    return True


def test_the_export_is_the_same_from_run_to_run_and_every_file_is_json():
    files = exports()
    assert files == exports()
    assert files.keys() >= {"asyncapi.json", *(f"{kind.topic}.schema.json" for kind in TYPES)}
    for name, text in files.items():
        assert text.endswith("}\n")
        assert json.loads(text).get("asyncapi" if name == "asyncapi.json" else "$schema")


def test_headrace_receives_what_it_only_reads_and_writes_the_letters_that_it_never_reads():
    actions: dict[str, set[str]] = {}
    for name in asyncapi()["operations"]:
        action, _, channel = name.partition(".")
        actions.setdefault(channel, set()).add(action)
    assert actions["catalogue.changes.v1"] == actions["search.events.v1"] == {"receive"}
    assert actions["search.queries.v1"] == actions["index.records"] == {"receive", "send"}
    assert all(acts == {"send"} for channel, acts in actions.items() if channel.endswith(".dlq"))


def test_a_dead_letters_message_is_bytes_with_ten_required_headers():
    letter = asyncapi()["components"]["messages"]["DeadLetter"]
    assert len(letter["headers"]["required"]) == 10
    ours = letter["headers"]["properties"].keys() - set(letter["headers"]["required"])
    assert ours == {"headrace.reason", "headrace.cut"}
    assert letter["contentType"] == "application/octet-stream"


def test_every_message_has_its_golden_sample_as_its_example():
    messages = asyncapi()["components"]["messages"]
    for kind in TYPES:
        [example] = messages[kind.__name__]["examples"]
        assert example["payload"] == json.loads(golden(kind.topic))
