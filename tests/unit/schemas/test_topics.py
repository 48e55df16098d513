"""The one list of topics: what must hold of every topic, and of each kind."""

import json
from datetime import timedelta

import pytest
from hypothesis import given

from schemas.base import MAX_MESSAGE_BYTES
from schemas.golden import golden_of
from schemas.judgements import Judgement, Negative
from schemas.search import SearchEvent, SearchQuery
from schemas.topics import (
    DEAD_LETTER_SUFFIX,
    LETTER_BYTES,
    TOPICS,
    all_topics,
    dead_letters,
    index_records,
    repartition,
    topic_spec,
)
from tests.unit.schemas.strategies import MESSAGES, events, queries

EVERY = all_topics("g1")
IDS = [topic.name for topic in EVERY]
KEYS = {
    "product id": ("product_id",),
    "query id": ("query_id",),
    "normalised query": ("query",),
    "query, tab, product id": ("query", "product_id"),
    "canary id": ("canary_id",),
    "job id": ("job_id",),
    "model id": ("model_id",),
    "generation": ("generation",),
    "alert key": ("alert_key",),
    "command id": ("command_id",),
    "source": ("source",),
    "source, tab, load id": ("source", "load_id"),
    "trial, tab, session": ("trial", "session"),
}
"""The fields that make up a key, by what the list of topics says of it."""


def test_no_two_topics_have_one_name_and_none_is_outside_kafkas_rules():
    assert len(set(IDS)) == len(IDS)
    assert all(
        len(name) <= 249 - 64 and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-") for name in IDS
    )


def test_a_generation_has_index_records_of_its_own():
    assert index_records("g1").name == "index.records.g1"
    own = {topic.name for topic in all_topics("g2")} - set(IDS)
    assert own == {"index.records.g2", "index.records.g2.dlq"}


@pytest.mark.parametrize("topic", EVERY, ids=IDS)
def test_a_key_is_made_of_what_the_list_says(topic):
    sample = golden_of(topic)
    message, stated = topic.message.decode(sample), json.loads(sample)
    assert message.key() == "\t".join(str(stated[name]) for name in KEYS[topic.key]).encode()


@pytest.mark.parametrize("topic", EVERY, ids=IDS)
def test_a_compacted_topic_is_kept_for_ever_and_forgets_deletes_after_a_week(topic):
    configuration = topic.configuration()
    assert configuration["cleanup.policy"] == topic.cleanup
    compacted = topic.cleanup == "compact"
    assert ("retention.ms" in configuration) is not compacted
    assert configuration.get("delete.retention.ms") == ("604800000" if compacted else None)


def test_what_is_the_only_truth_is_never_deleted_by_age():
    kept = {topic.name for topic in EVERY if topic.configuration().get("retention.ms") == "-1"}
    assert kept == {
        "catalogue.acceptances.v1",
        "catalogue.changes.v1",
        "catalogue.changes.v1.repartition",
        "rollout.v1",
    }


def test_what_shoppers_did_is_kept_as_long_as_what_they_saw():
    spans = {name: topic.retention for name, topic in zip(IDS, EVERY, strict=True)}
    assert spans[SearchEvent.topic] == spans[SearchQuery.topic] == timedelta(days=90)


def test_judgements_of_a_week_are_all_there_for_a_data_set_to_be_built_again():
    for topic in EVERY:
        kept = topic.configuration().get("min.compaction.lag.ms")
        assert (kept is not None) is (topic.message in (Judgement, Negative) and topic.cleanup == "compact")


@pytest.mark.parametrize(
    "topic", [topic for topic in TOPICS if topic.dead_letters], ids=lambda topic: topic.name
)
def test_dead_letters_outlive_a_holiday_and_have_room_for_any_message(topic):
    letters = dead_letters(topic)
    assert letters.name == topic.name + DEAD_LETTER_SUFFIX
    assert letters.retention >= timedelta(days=30)
    assert letters.partitions == 1
    assert int(letters.configuration()["max.message.bytes"]) == LETTER_BYTES >= 2**20 + MAX_MESSAGE_BYTES


def test_what_the_world_may_write_has_dead_letters_and_dead_letters_have_none():
    written = {
        topic.name
        for topic in TOPICS
        if "you write it" in topic.description or "front end" in topic.description
    }
    assert written == {topic.name for topic in TOPICS if topic.dead_letters} - {
        "search.outcomes.v1",
        "search.judgements.v1",
    }
    assert not any(topic.dead_letters for topic in EVERY if topic.name.endswith(DEAD_LETTER_SUFFIX))


@pytest.mark.parametrize("topic", all_topics("g2"), ids=lambda topic: topic.name)
def test_a_topic_is_found_by_its_name_whatever_its_generation(topic):
    assert topic_spec(topic.name) == topic


@pytest.mark.parametrize("topic", EVERY, ids=IDS)
def test_the_time_of_every_message_is_the_brokers(topic):
    assert topic.configuration()["message.timestamp.type"] == "LogAppendTime"


def test_what_is_joined_has_the_same_key_and_the_same_partitions():
    by_name = dict(zip(IDS, EVERY, strict=True))
    query, event = by_name[SearchQuery.topic], by_name[SearchEvent.topic]
    assert (query.key, query.partitions) == (event.key, event.partitions)


@pytest.mark.parametrize("topic", [t for t in TOPICS if t.external], ids=lambda topic: topic.name)
def test_what_is_forwarded_is_kept_as_long_as_where_it_lay_and_fits_with_one_header_more(topic):
    on_its_way = repartition(topic)
    assert on_its_way.name == topic.name + ".repartition"
    assert (on_its_way.retention, on_its_way.partitions, on_its_way.key) == (topic.retention, None, topic.key)
    assert int(on_its_way.configuration()["max.message.bytes"]) > 2**20 + MAX_MESSAGE_BYTES


def test_what_a_shop_writes_with_a_key_that_decides_is_at_home_external():
    assert {topic.name for topic in TOPICS if topic.external} == {
        "catalogue.changes.v1",
        "search.queries.v1",
        "search.events.v1",
    }


@given(queries, events)
def test_an_event_lies_in_the_partition_of_its_query(query, event):
    of_query = event.model_copy(update={"query_id": query.query_id})
    assert of_query.key() == query.key()


@given(MESSAGES[Judgement], MESSAGES[Judgement])
def test_two_judgements_replace_each_other_exactly_when_they_judge_the_same(one, other):
    one, other = (
        judgement.model_copy(update={"query": judgement.query.replace("\t", " ")})
        for judgement in (one, other)
    )
    assert (one.key() == other.key()) == ((one.query, one.product_id) == (other.query, other.product_id))


def test_an_event_of_no_query_goes_by_its_client():
    event = SearchEvent.model_validate(
        {"action_name": "click", "timestamp": 1, "client_id": "c-1", "query_id": ""}
    )
    assert event.key() == b"c-1"
    assert event.model_copy(update={"client_id": None}).key() == b""
