"""What the README shows is what the contracts accept, and the commands it names exist."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.alerts import Alert
from schemas.control import Command
from schemas.judgements import Canary, Judgement
from schemas.topics import all_topics
from schemas.wire import decode_event, decode_query, read_change
from services.cli.main import COMMANDS

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
ROWS = dict(re.findall(r"^\| `([a-z.]+v1)` \|.*\| `(\{.*\})` \|$", README, re.MULTILINE))


def change(value):
    return read_change(key=b"k", value=value, headers=(), timestamp=datetime.now(UTC), offset=0).change


READERS = {
    "catalogue.changes.v1": change,
    "search.events.v1": decode_event,
    "search.queries.v1": decode_query,
    "canaries.v1": Canary.decode,
    "search.judgements.v1": Judgement.decode,
    "alerts.v1": Alert.decode,
    "control.commands.v1": Command.decode,
}


@pytest.mark.parametrize("topic", READERS)
def test_the_example_of_a_topic_is_a_message_of_that_topic(topic):
    assert READERS[topic](ROWS[topic].encode()) is not None


def test_every_topic_has_its_row():
    named = {topic.name for topic in all_topics("g1")}
    missing = {
        name
        for name in named
        if f"`{name}`" not in README and not name.startswith("index.") and not name.endswith(".dlq")
    }
    assert missing == set()


def test_what_is_published_by_hand_is_accepted():
    [published] = re.findall(r"echo '(\{\"product_id.*\})'", README)
    [clicked] = re.findall(r"echo '(\{\"action_name.*\})'", README)
    assert change(published.encode()).fields["price"] == 99.5
    assert decode_event(clicked.encode()).action_name == "click"
    [asked] = re.findall(r"-d '(\{.*\})'", README)
    assert json.loads(asked)["filters"][0]["op"] == "range"


def test_every_command_it_names_exists():
    named = set(re.findall(r"(?:`|^|&& |run --rm )headrace ([a-z]+)", README, re.MULTILINE))
    assert named - set(COMMANDS) == set()
