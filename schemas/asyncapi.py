"""The contracts as files for other languages.

JSON Schema per message, one AsyncAPI 3.0 document, and JSON Schema of what goes over HTTP.
"""

import json
from types import ModuleType
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from schemas import collector_api, search_api, shard_api
from schemas.base import Message
from schemas.catalogue import ProductChange
from schemas.golden import golden
from schemas.index import BINARY, AttributeRecord, IndexRecord
from schemas.search import SearchEvent
from schemas.topics import DEAD_LETTER_SUFFIX, TOPICS, TopicSpec, all_topics, index_records

CONTRACTS_VERSION = "1.0.0"
GENERATION = "{generation}"
DEFAULT_PARTITIONS = 4

Document = dict[str, Any]  # Any: JSON

_HTTP = {"collector_api": collector_api, "search_api": search_api, "shard_api": shard_api}
_ONLY_READ = {ProductChange.topic, SearchEvent.topic}
_FORMS = (
    "Beside this form Headrace reads Debezium events (with and without schema wrapper, flattened, of its "
    "CloudEvents converter), OpenSearch pull-ingestion messages (_id, _version, _op_type, _source), "
    "CloudEvents (binary and structured) and tombstones."
)
_KAFKA_CONNECT_HEADERS = (
    "topic",
    "partition",
    "offset",
    "connector.name",
    "task.id",
    "stage",
    "class.name",
    "exception.class.name",
    "exception.message",
    "exception.stacktrace",
)


def exports() -> dict[str, str]:
    """Return every exported file: name and text, stable from run to run."""
    files = {f"{kind.topic}.schema.json": _text(json_schema(kind)) for kind in _kinds()}
    http = {f"{name}.schema.json": _text(http_schema(module)) for name, module in _HTTP.items()}
    return {"asyncapi.json": _text(asyncapi()), **files, **http}


def json_schema(kind: type[Message]) -> Document:
    """Return the JSON Schema (draft 2020-12) of one message, as readers accept it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **kind.model_json_schema(mode="validation"),
    }


def http_schema(module: ModuleType) -> Document:
    """Return one JSON Schema document with everything that goes over the wire of one HTTP API."""
    contracts: list[tuple[str, Literal["validation"], TypeAdapter[Any]]] = [  # Any: of all kinds
        (kind.__name__, "validation", TypeAdapter(kind)) for kind in module.CONTRACTS
    ]
    _, document = TypeAdapter.json_schemas(contracts, title=(module.__doc__ or "").partition("\n")[0])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **document}


def asyncapi() -> Document:
    """Return the AsyncAPI 3.0 document of every topic, from Headrace's side of the bus."""
    topics = all_topics(GENERATION)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Headrace",
            "version": CONTRACTS_VERSION,
            "description": "A shop's catalogue and its shoppers in; fresh search, judgements and alerts out. "
            "Every topic may carry a configured prefix.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": {"host": "localhost:9092", "protocol": "kafka"}},
        "channels": {_channel_name(topic): _channel(topic) for topic in topics},
        "operations": {name: operation for topic in topics for name, operation in _operations(topic).items()},
        "components": {
            "messages": {
                **{kind.__name__: _message(kind) for kind in _kinds()},
                "DeadLetter": _dead_letter(),
            },
            "schemas": _schemas(),
        },
    }


def _kinds() -> list[type[Message]]:
    return [*(topic.message for topic in TOPICS), IndexRecord, AttributeRecord]


def _channel_name(topic: TopicSpec) -> str:
    return topic.name.removesuffix(f".{GENERATION}")


def _message_names(topic: TopicSpec) -> list[str]:
    if _is_dead_letters(topic):
        return ["DeadLetter"]
    return [kind.__name__ for kind in (topic.message, *topic.also)]


def _is_dead_letters(topic: TopicSpec) -> bool:
    return topic.name.endswith(DEAD_LETTER_SUFFIX)


def _channel(topic: TopicSpec) -> Document:
    channel: Document = {
        "address": topic.name,
        "description": f"{topic.description} {_FORMS}"
        if topic.name == ProductChange.topic
        else topic.description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _message_names(topic)},
        "bindings": {"kafka": _channel_binding(topic)},
    }
    if GENERATION in topic.name:
        channel["parameters"] = {
            "generation": {"description": "Name of an index generation.", "examples": ["g1"]}
        }
    return channel


def _channel_binding(topic: TopicSpec) -> Document:
    configuration: Document = {
        name: [value] if name == "cleanup.policy" else int(value) if value.lstrip("-").isdigit() else value
        for name, value in topic.configuration().items()
    }
    return {
        "partitions": topic.partitions or DEFAULT_PARTITIONS,
        "topicConfiguration": configuration,
        "bindingVersion": "0.5.0",
    }


def _operations(topic: TopicSpec) -> Document:
    actions = ["receive"] if topic.name in _ONLY_READ else ["receive", "send"]
    if _is_dead_letters(topic):
        actions = ["send"]
    return {f"{action}.{_channel_name(topic)}": _operation(topic, action) for action in actions}


def _operation(topic: TopicSpec, action: str) -> Document:
    channel = f"#/channels/{_channel_name(topic)}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{name}"} for name in _message_names(topic)],
    }


def _message(kind: type[Message]) -> Document:
    keys = {topic.message: topic.key for topic in [*TOPICS, index_records(GENERATION)]}
    keys[AttributeRecord] = "product id, a zero byte, `attributes`"
    return {
        "name": kind.__name__,
        "title": kind.__name__,
        "summary": (kind.__doc__ or "").partition("\n")[0],
        "contentType": "application/vnd.msgpack" if kind in BINARY else "application/json",
        "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
        "bindings": {
            "kafka": {"key": {"type": "string", "description": keys[kind]}, "bindingVersion": "0.5.0"}
        },
        "examples": [{"name": "golden", "payload": json.loads(golden(kind.topic))}],
    }


def _dead_letter() -> Document:
    names = [f"__connect.errors.{name}" for name in _KAFKA_CONNECT_HEADERS]
    return {
        "name": "DeadLetter",
        "title": "DeadLetter",
        "summary": "A message that could not be used, byte for byte, and why in ten headers; of one that is "
        "too large the beginning, and in headrace.cut what it was.",
        "contentType": "application/octet-stream",
        "headers": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in [*names, "headrace.reason", "headrace.cut"]},
            "required": names,
        },
        "payload": {"description": "The bytes as they came; may be anything."},
    }


def _schemas() -> Document:
    _, schema = models_json_schema(
        [(kind, "validation") for kind in _kinds()], ref_template="#/components/schemas/{model}"
    )
    definitions: Document = schema["$defs"]
    return dict(sorted(definitions.items()))


def _text(document: Document) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
