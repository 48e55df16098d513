import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from schemas.asyncapi import asyncapi, exports, json_schema
from schemas.golden import golden
from schemas.topics import TOPICS, all_topics, index_records

EXPORTED = Path(__file__).parents[3] / "schemas" / "export"
KINDS = [kind for topic in [*TOPICS, index_records("g1")] for kind in (topic.message, *topic.also)]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(document: Any, reference: str) -> Any:
    assert reference.startswith("#/")
    for part in reference[2:].split("/"):
        document = document[part.replace("~1", "/").replace("~0", "~")]
    return document


def test_the_committed_files_are_what_the_code_says():
    written = {file.name: file.read_text() for file in EXPORTED.iterdir()}
    assert written.keys() == exports().keys()
    for name, text in exports().items():
        assert written[name] == text, f"{name} is old: run `headrace schemas export`"


def test_every_topic_is_a_channel_with_its_partitions_and_configuration():
    channels = {channel["address"]: channel for channel in asyncapi()["channels"].values()}
    assert channels.keys() == {topic.name for topic in all_topics("{generation}")}
    for topic in all_topics("{generation}"):
        binding = channels[topic.name]["bindings"]["kafka"]
        assert binding["partitions"] == (topic.partitions or 4)
        said = binding["topicConfiguration"]
        assert {name: str(value) for name, value in said.items() if name != "cleanup.policy"} == {
            name: value for name, value in topic.configuration().items() if name != "cleanup.policy"
        }
        assert said["cleanup.policy"] == [topic.cleanup]


def test_every_reference_in_the_document_leads_somewhere():
    document = asyncapi()
    found = list(references(document))
    assert len(found) > 50
    for reference in found:
        assert resolve(document, reference)


def test_every_channel_has_an_operation_and_every_operation_a_message_of_its_channel():
    document = asyncapi()
    used = set()
    for operation in document["operations"].values():
        channel = resolve(document, operation["channel"]["$ref"])
        used.add(channel["address"])
        assert operation["action"] in {"send", "receive"}
        for message in operation["messages"]:
            assert resolve(document, message["$ref"]) in channel["messages"].values()
    assert used == {channel["address"] for channel in document["channels"].values()}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_golden_sample_satisfies_the_exported_schema(kind: Any):
    jsonschema.Draft202012Validator.check_schema(json_schema(kind))
    jsonschema.Draft202012Validator(json_schema(kind)).validate(json.loads(golden(kind.topic)))
    jsonschema.Draft202012Validator(
        {"$ref": f"#/components/schemas/{kind.__name__}", "components": asyncapi()["components"]}
    ).validate(json.loads(golden(kind.topic)))
