"""Records that name a schema: fetched once, waited for with patience, refused with an alert."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from schemas.alerts import Alert
from schemas.base import MAX_MESSAGE_BYTES
from shared.catalogue.changes import reading_of
from shared.errors import PoisonError, TransientError
from shared.records import Partition, Record
from shared.schema_registry import deserializer as module
from shared.schema_registry.deserializer import RECHECKED, SchemaDeserializer
from shared.schema_registry.framing import KEY_HEADER, VALUE_HEADER
from shared.schema_registry.registry import RegisteredSchema
from shared.settings import RegistrySettings
from shared.streaming.alerts import BusAlerts
from shared.testing.publisher import MemoryPublisher
from tests.schema_registries import register, stand_in

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
AT = Partition("catalogue.changes.v1", 0)
PATIENCE = timedelta(minutes=10)
CHANGE = b'{"product_id":"SHOE-1","op":"upsert","version":1,"fields":{"price":5}}'
NAME = {"type": "record", "name": "Key", "fields": [{"name": "sku", "type": "string"}]}


class Clock:
    def __init__(self):
        self.moment = NOW

    def now(self):
        return self.moment


class World:
    """A deserializer, its registry, its clock, and what it says on the bus."""

    def __init__(self, site):
        self.site = site
        self.clock = Clock()
        self.publisher = MemoryPublisher()
        self.deserializer = SchemaDeserializer.of(
            RegistrySettings(url=site.url, patience=PATIENCE),
            clock=self.clock,
            alerts=BusAlerts(self.publisher),
        )

    @property
    def alerts(self):
        return [Alert.decode(message.value) for message in self.publisher.of(Alert.topic)]

    async def read(self, *records):
        """Return the change of each record, or the reason for which it is refused."""
        schemas = await self.deserializer.schemas_of(records)
        return [self.one(schemas, record) for record in records]

    @staticmethod
    def one(schemas, record):
        try:
            return schemas.decode(record, reading_of).change
        except PoisonError as error:
            return error.reason


@pytest.fixture
async def world():
    with stand_in() as site:
        world = World(site)
        yield world
        await world.deserializer.aclose()


def framed(schema_id, payload=b""):
    return b"\0" + schema_id.to_bytes(4, "big") + payload


def record(value, key=b"SHOE-1", headers=()):
    return Record(AT, 7, key, value, NOW, headers)


async def test_messages_without_a_schema_ask_nothing(world):
    assert [change.product_id for change in await world.read(record(CHANGE), record(None))] == ["SHOE-1"] * 2
    assert world.site.asked == []


async def test_a_schema_is_asked_for_once(world):
    schema_id = register(world.site.url, "s", "JSON", "{}")
    world.site.asked.clear()
    records = [record(framed(schema_id, CHANGE)) for _ in range(50)]
    for _ in range(3):
        assert {change.fields["price"] for change in await world.read(*records)} == {5}
    assert world.site.asked == [f"/schemas/ids/{schema_id}"]


async def test_partitions_that_need_one_schema_ask_for_it_once(world):
    schema_id = register(world.site.url, "s", "JSON", "{}")
    world.site.asked.clear()
    await asyncio.gather(*(world.read(record(framed(schema_id, CHANGE))) for _ in range(8)))
    assert world.site.asked == [f"/schemas/ids/{schema_id}"]


async def test_a_key_with_a_schema_is_the_id(world):
    number = register(world.site.url, "k", "AVRO", json.dumps(NAME))
    text = register(world.site.url, "t", "AVRO", '"string"')
    whole = register(world.site.url, "w", "AVRO", '"long"')
    keys = [framed(number, b"\x04P1"), framed(text, b"\x04P1"), framed(whole, b"\x54")]
    changes = await world.read(*(record(None, key) for key in keys))
    assert [(change.product_id, change.op) for change in changes] == [
        ("P1", "delete"),
        ("P1", "delete"),
        ("42", "delete"),
    ]


async def test_a_guid_in_a_header_names_a_schema_too(world):
    register(world.site.url, "s", "AVRO", '"string"')
    register(world.site.url, "v", "JSON", "{}")
    guids = [b"\1" + bytes.fromhex(schema["guid"].replace("-", "")) for schema in world.site.schemas]
    headers = ((KEY_HEADER, guids[0]), (VALUE_HEADER, guids[1]))
    value = b'{"op":"patch","fields":{"price":5}}'
    assert (await world.read(record(value, b"\x04P1", headers)))[0].product_id == "P1"


async def test_the_content_type_was_that_of_the_bytes(world):
    schema_id = register(world.site.url, "s", "AVRO", json.dumps(NAME))
    event = {"ce_specversion": b"1.0", "ce_id": b"1", "ce_source": b"s", "ce_type": b"t", "ce_subject": b"P1"}
    headers = (*event.items(), ("content-type", b"application/avro"))
    [change] = await world.read(record(framed(schema_id, b"\x04P1"), None, headers))
    assert (change.product_id, change.fields) == ("P1", {"sku": "P1"})


async def test_without_a_registry_the_setting_is_named():
    deserializer = SchemaDeserializer.of(RegistrySettings(), clock=Clock())
    schemas = await deserializer.schemas_of([record(framed(1))])
    with pytest.raises(PoisonError, match=r"json\.invalid: .*set HEADRACE_REGISTRY__URL"):
        schemas.decode(record(framed(1)), reading_of)
    await deserializer.aclose()


async def test_while_the_registry_is_away_nothing_is_read_and_then_everything_is(world):
    schema_id = register(world.site.url, "s", "JSON", "{}")
    world.site.status = 503
    for _ in range(3):
        world.clock.moment += timedelta(days=1)
        with pytest.raises(TransientError, match="answers 503"):
            await world.read(record(framed(schema_id, CHANGE)))
    world.site.status = 200
    assert (await world.read(record(framed(schema_id, CHANGE))))[0].product_id == "SHOE-1"
    assert world.alerts == []


async def test_an_unknown_id_is_waited_for_then_refused_with_one_alert(world):
    rubbish = record(framed(404, CHANGE))
    for passed in (timedelta(), PATIENCE - timedelta(seconds=1)):
        world.clock.moment = NOW + passed
        with pytest.raises(TransientError, match=r"does not know schema 404 \(yet\)"):
            await world.read(record(CHANGE), rubbish)
    world.clock.moment = NOW + PATIENCE
    read = await world.read(record(CHANGE), rubbish, rubbish)
    assert [getattr(change, "product_id", change) for change in read] == [
        "SHOE-1",
        "schema.unknown",
        "schema.unknown",
    ]
    [alert] = world.alerts
    assert (alert.alert_key, alert.severity) == ("schema-unknown:catalogue.changes.v1", "warning")
    assert "404" in alert.summary
    assert "headrace dlq replay catalogue.changes.v1" in alert.action
    world.site.asked.clear()
    assert set(await world.read(*[rubbish] * 1000)) == {"schema.unknown"}
    assert world.site.asked == []
    assert len(world.alerts) == 1


async def test_an_alert_that_the_bus_does_not_take_is_said_again(world):
    with pytest.raises(TransientError, match="404"):
        await world.read(record(framed(404)))
    world.clock.moment += PATIENCE
    world.publisher.failure = TransientError("away")
    with pytest.raises(TransientError, match="away"):
        await world.read(record(framed(404)))
    world.publisher.failure = None
    assert await world.read(record(framed(404))) == ["schema.unknown"]
    assert len(world.alerts) == 1


async def test_a_schema_that_comes_late_is_used(world):
    with pytest.raises(TransientError):
        await world.read(record(framed(1, CHANGE)))
    register(world.site.url, "s", "JSON", "{}")
    assert (await world.read(record(framed(1, CHANGE))))[0].product_id == "SHOE-1"


async def test_after_it_was_given_up_it_is_asked_for_again_once_a_minute(world):
    with pytest.raises(TransientError):
        await world.read(record(framed(1, CHANGE)))
    world.clock.moment += PATIENCE
    assert await world.read(record(framed(1, CHANGE))) == ["schema.unknown"]
    register(world.site.url, "s", "JSON", "{}")
    world.clock.moment += RECHECKED
    assert (await world.read(record(framed(1, CHANGE))))[0].product_id == "SHOE-1"


async def test_what_comes_together_is_one_alert(world):
    for schema_id, waited in ((404, PATIENCE), (405, PATIENCE / 2)):
        with pytest.raises(TransientError):
            await world.read(record(framed(schema_id)))
        world.clock.moment += waited
        assert await world.read(record(framed(schema_id))) == ["schema.unknown"]
    assert len(world.alerts) == 1


async def test_an_id_that_was_known_and_is_lost_is_waited_for_anew(world, monkeypatch):
    monkeypatch.setattr(module, "CACHED", 0)
    with pytest.raises(TransientError):
        await world.read(record(framed(1, CHANGE)))
    register(world.site.url, "s", "JSON", "{}")
    assert (await world.read(record(framed(1, CHANGE))))[0].product_id == "SHOE-1"
    world.site.schemas.clear()
    world.clock.moment += PATIENCE
    with pytest.raises(TransientError):
        await world.read(record(framed(1, CHANGE)))


async def test_ids_that_no_registry_gives_are_refused_at_once(world):
    values = [framed(0), framed(2**31), framed(2**32 - 1)]
    assert await world.read(*map(record, values)) == ["schema.unknown"] * 3
    assert world.site.asked == []
    assert len(world.alerts) == 1


async def test_a_schema_that_cannot_be_used_is_refused_and_tried_again_later(world):
    schema_id = register(world.site.url, "s", "AVRO", '{"type": "array", "items": "null"}')
    bad = record(framed(schema_id, b"\xff\xff\xff\xff\x0f\0"))
    assert await world.read(bad) == ["schema.invalid"]
    world.site.schemas[0]["schema"] = '"string"'
    assert await world.read(bad) == ["schema.invalid"]
    world.clock.moment += RECHECKED
    assert await world.read(bad) == ["schema.mismatch"]


async def test_a_long_as_a_key_is_no_schema(world):
    """Java's LongSerializer writes eight bytes; from 2^24 on, the second to fifth are no zero."""
    schema_id = register(world.site.url, "s", "JSON", "{}")
    for number in (42, 2**24 + 42, 404 * 2**24):
        key = number.to_bytes(8, "big")
        changes = await world.read(record(framed(schema_id, CHANGE), key), record(CHANGE, key))
        assert [change.product_id for change in changes] == ["SHOE-1"] * 2


async def test_what_is_too_large_is_not_decoded(world):
    schema_id = register(world.site.url, "s", "AVRO", '"bytes"')
    assert await world.read(record(framed(schema_id, b"x" * (MAX_MESSAGE_BYTES + 1)))) == [
        "message.too_large"
    ]


async def test_who_only_reads_along_may_pass_over_what_cannot_be_read(world):
    schemas = await world.deserializer.schemas_of([record(framed(0))])
    assert schemas.decode(record(framed(0)), lambda _: None) is None


async def test_the_letter_of_a_message_is_the_message_as_it_came(world):
    schema_id = register(world.site.url, "s", "JSON", "{}")
    came = record(framed(schema_id, b'{"op":'))
    schemas = await world.deserializer.schemas_of([came])
    with pytest.raises(PoisonError, match=r"json\.invalid"):
        schemas.decode(came, reading_of)
    assert came.value == framed(schema_id, b'{"op":')


class Endless:
    """A registry that has a schema of every id."""

    async def schema(self, schema_id):
        return RegisteredSchema("JSON", "{}")

    async def aclose(self):
        pass


async def test_no_more_schemas_are_kept_than_fit_and_each_batch_has_its_own(monkeypatch):
    monkeypatch.setattr(module, "CACHED", 3)
    deserializer = SchemaDeserializer(Endless(), patience=PATIENCE, clock=Clock())
    records = [record(framed(schema_id, CHANGE)) for schema_id in range(1, 11)]
    schemas = await deserializer.schemas_of(records)
    assert {schemas.decode(came, reading_of).change.product_id for came in records} == {"SHOE-1"}
    assert len(deserializer._readers) == 3
