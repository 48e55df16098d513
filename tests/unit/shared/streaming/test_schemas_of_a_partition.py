"""A partition whose messages need a schema pauses for the registry, and goes on by itself."""

from dataclasses import replace
from datetime import timedelta

from schemas.alerts import Alert
from shared.errors import PoisonError, TransientError
from shared.records import Record
from shared.schema_registry.deserializer import SchemaDeserializer
from shared.schema_registry.registry import RegisteredSchema
from shared.streaming.alerts import BusAlerts
from shared.streaming.dead_letters import REASON
from tests.unit.shared.streaming.partition import Frozen, Keeper, World

VALUES = [b"plain", b"\0\0\0\0\1good", b"\0\0\0\0\1rubbish", b"\0\0\0\0\2lost", b"\0\0\0\0\1last"]


class Unlike(Keeper):
    """It reads nothing that names a schema."""

    def decode(self, record: Record) -> bytes:
        if record.value is None or record.value.startswith(b"\0"):
            raise PoisonError("json.invalid", "a zero byte")
        return super().decode(record)


class Shaky:
    """A registry of one schema that is away for some questions; closed once."""

    def __init__(self, away: int) -> None:
        self.away = away
        self.asked: list[object] = []

    async def schema(self, schema_id: object) -> RegisteredSchema | None:
        self.asked.append(schema_id)
        if len(self.asked) <= self.away:
            raise TransientError("the registry is away")
        return RegisteredSchema("JSON", "{}") if schema_id == 1 else None

    async def aclose(self) -> None:
        pass


async def test_it_reads_on_when_the_registry_is_back_and_dead_letters_are_whole() -> None:
    world = World("schemas", VALUES)
    registry = Shaky(away=3)
    world.deserializer = SchemaDeserializer(
        registry, patience=timedelta(), clock=Frozen(), alerts=BusAlerts(world.publisher)
    )
    await world.read()
    assert world.handler.kept == [b"plain", b"good", b"\0\0\0\0\2lost", b"last"]  # it can read that as it is
    assert [letter.value for letter in world.letters] == [VALUES[2]]
    assert dict(world.letters[0].headers)[REASON] == b"value.rubbish"
    assert registry.asked == [1, 1, 1, 1, 2]
    assert [message.topic for message in world.publisher.messages] == [Alert.topic, "schemas.dlq"]


async def test_what_a_router_might_read_a_moment_later_is_dead_lettered_here_and_the_rest_left_to_it() -> (
    None
):
    """Each would else rely on the other: the router knows the schema by then, and forwards nothing."""
    world = World("search.queries.v1", VALUES)
    world.handler = Unlike()
    world.deserializer = SchemaDeserializer(Shaky(away=0), patience=timedelta(), clock=Frozen())
    reader = world.reader(start=False)
    reader._context = replace(reader._context, routed=True)
    reader.start(world.failed.set_result)
    await world.handler.until(lambda: world.handler.next_offset == len(VALUES))
    await reader.stop(timedelta(seconds=10))
    assert world.handler.kept == [b"plain", b"good", b"last"]
    assert [letter.value for letter in world.letters] == [VALUES[3]]
