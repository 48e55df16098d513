"""Records that name a schema, read as the JSON that they stand for; schemas are fetched before decoding.

A registry that does not answer is waited for without end. An id that it does not know is waited for with
`Patience`, then the messages that need it are refused, and an alert says so.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from msgspec.structs import replace

from schemas.alerts import Alert
from schemas.base import MAX_MESSAGE_BYTES
from schemas.wire.errors import WireError
from schemas.wire.strict_json import too_large
from shared.clock import SystemClock
from shared.errors import PoisonError, TransientError
from shared.ports import AlertSink, Clock
from shared.records import Record
from shared.schema_registry.framing import HIGHEST_ID, Framed, SchemaId, is_key_framed, key_of, uses, value_of
from shared.schema_registry.patience import Patience
from shared.schema_registry.readers import reader_of
from shared.schema_registry.registry import HttpSchemaRegistry, SchemaRegistry
from shared.settings import RegistrySettings

M = TypeVar("M")
Reader = Callable[[bytes], bytes]

PASSING = ("schema.unknown", "schema.invalid")
"""Reasons that one reader of a message may have and the next one, a moment later, no more: a schema came. So
each who reads it dead-letters it, else it could be lost between two who rely on each other."""
CACHED = 1000
RECHECKED = timedelta(minutes=1)
"""How long a schema that is unknown or cannot be used is not asked for again."""
SHOWN_IDS = 5


@dataclass(frozen=True, slots=True)
class Unusable:
    """A reader that refuses everything: nothing can be read by its schema."""

    reason: str
    explanation: str

    def __call__(self, payload: bytes, /) -> bytes:  # noqa: ARG002 - the shape of a reader
        """Raise the reason."""
        raise WireError(self.reason, self.explanation)


@dataclass(frozen=True, slots=True)
class BatchSchemas:
    """What reads each schema that the records of a batch name."""

    readers: Mapping[SchemaId, Reader] = field(default_factory=dict)

    def decode(self, record: Record, decode: Callable[[Record], M]) -> M:
        """Return what `decode` makes of the record, once it is JSON; raises `PoisonError`, and as `decode`.

        What cannot become JSON is left to `decode` as it is: who only reads along may pass over it.
        """
        if not self.readers:
            return decode(record)
        try:
            readable = self.as_json(record)
        except WireError as error:
            try:
                return decode(record)
            except (PoisonError, WireError):
                raise PoisonError(error.reason, error.explanation) from error
        return decode(readable)

    def as_json(self, record: Record) -> Record:
        """Return the record with a value and a key of JSON; raises `WireError`."""
        if not self.readers or record.damage is not None:
            return record
        value, headers = record.value, record.headers
        if (framed := value_of(record)) is not None:
            value = self._read(framed)
            headers = tuple(header for header in headers if header[0].lower() != "content-type")
        return replace(record, key=self._key(record), value=value, headers=headers)

    def _key(self, record: Record) -> bytes | None:
        framed = key_of(record)
        if framed is None:
            return record.key
        try:
            return self._read(framed)
        except WireError:
            if is_key_framed(record):
                raise
            return record.key

    def _read(self, framed: Framed) -> bytes:
        if len(framed.payload) > MAX_MESSAGE_BYTES:
            raise too_large(len(framed.payload))
        return self.readers[framed.schema_id](framed.payload)


NO_SCHEMAS = BatchSchemas()


class SchemaDeserializer:
    """Fetches the schemas that records name; without a registry it knows none, and leaves records alone."""

    def __init__(
        self,
        registry: SchemaRegistry | None,
        *,
        patience: timedelta,
        clock: Clock,
        alerts: AlertSink | None = None,
    ) -> None:
        self._registry = registry
        self._patience = Patience(patience)
        self._clock = clock
        self._alerts = alerts
        self._alerted: dict[str, datetime] = {}
        self._readers: OrderedDict[SchemaId, Reader] = OrderedDict()
        self._unusable: OrderedDict[SchemaId, tuple[Unusable, datetime]] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()

    @classmethod
    def of(
        cls, settings: RegistrySettings, *, clock: Clock, alerts: AlertSink | None = None
    ) -> "SchemaDeserializer":
        """Return one for the registry that is configured; without `alerts` nobody waits for an unknown id."""
        registry = HttpSchemaRegistry(settings) if settings.addresses else None
        patience = settings.patience if alerts is not None else timedelta()
        return cls(registry, patience=patience, clock=clock, alerts=alerts)

    async def aclose(self) -> None:
        """Let go of the registry."""
        if self._registry is not None:
            await self._registry.aclose()

    async def schemas_of(self, records: Sequence[Record]) -> BatchSchemas:
        """Return what reads the records.

        Raises `TransientError` while the registry does not answer, or may yet come to know an id.
        """
        if self._registry is None:
            return NO_SCHEMAS
        required: dict[SchemaId, bool] = {}
        for record in records:
            for schema_id, is_required in uses(record):
                required[schema_id] = is_required or required.get(schema_id, False)
        if not required:
            return NO_SCHEMAS
        async with self._one_at_a_time:
            readers = {schema_id: await self._reader(self._registry, schema_id) for schema_id in required}
            unknown = [schema_id for schema_id, reader in readers.items() if reader is None]
            await self._wait_or_give_up([i for i in unknown if required[i]], records[0].partition.topic)
        return BatchSchemas({i: _unknown(i) if reader is None else reader for i, reader in readers.items()})

    async def _reader(self, registry: SchemaRegistry, schema_id: SchemaId) -> Reader | None:
        """Return what reads by the schema; None when the registry does not know it (yet)."""
        if (reader := self._readers.get(schema_id)) is not None:
            self._readers.move_to_end(schema_id)
            return reader
        if (unusable := self._unusable.get(schema_id)) is not None:
            if self._clock.now() < unusable[1] + RECHECKED:
                return unusable[0]
            del self._unusable[schema_id]
        return await self._fetch(registry, schema_id) if _is_possible(schema_id) else None

    async def _fetch(self, registry: SchemaRegistry, schema_id: SchemaId) -> Reader | None:
        try:
            schema = await registry.schema(schema_id)
            if schema is None:
                return None
            reader = await asyncio.to_thread(reader_of, schema)
        except WireError as error:
            return self._refuse(schema_id, Unusable(error.reason, f"schema {schema_id}: {error.explanation}"))
        self._patience.known(schema_id)
        self._readers[schema_id] = reader
        if len(self._readers) > CACHED:
            self._readers.popitem(last=False)
        return reader

    def _refuse(self, schema_id: SchemaId, unusable: Unusable) -> Unusable:
        self._unusable[schema_id] = unusable, self._clock.now()
        if len(self._unusable) > CACHED:
            self._unusable.popitem(last=False)
        return unusable

    async def _wait_or_give_up(self, unknown: Sequence[SchemaId], topic: str) -> None:
        """Raise `TransientError` while one of the ids is waited for; give the others up, with an alert."""
        now = self._clock.now()
        over = [i for i in unknown if not _is_possible(i) or self._patience.is_over(i, now)]
        if len(over) < len(unknown):
            waited = _listed(schema_id for schema_id in unknown if schema_id not in over)
            raise TransientError(
                f"the schema registry does not know schema {waited} (yet), which {topic} needs",
                cause="schema-registry.unknown-schema",
                fix="register it; after registry.patience the messages are dead-lettered",
            )
        if over:
            await self._alert(over, topic, now)
        for schema_id in over:
            self._patience.give_up(schema_id, now)
            self._refuse(schema_id, _unknown(schema_id))

    async def _alert(self, schema_ids: Sequence[SchemaId], topic: str, now: datetime) -> None:
        """Say that messages are refused, once for what comes together."""
        last = self._alerted.get(topic)
        if self._alerts is not None and (last is None or now >= last + self._patience.limit):
            await self._alerts.raise_alert(unknown_schema(schema_ids, topic, now))
            self._alerted[topic] = now


async def schemas_now(settings: RegistrySettings, records: Sequence[Record]) -> BatchSchemas:
    """Return what reads these records, for a command; raises `TransientError` without the registry."""
    async with aclosing(SchemaDeserializer.of(settings, clock=SystemClock())) as deserializer:
        return await deserializer.schemas_of(records)


def unknown_schema(schema_ids: Sequence[SchemaId], topic: str, now: datetime) -> Alert:
    """Return the alert for messages whose schema nobody knows; only a person can say that it is mended."""
    key = f"schema-unknown:{topic}"
    return Alert(
        alert_key=key,
        status="firing",
        severity="warning",
        summary=f"the schema registry does not know schema {_listed(schema_ids)}: messages of {topic} that "
        "name it are dead-lettered",
        cause="bug",
        action=f"register the schema under the same id and `headrace dlq replay {topic} --reason "
        "schema.unknown`, or stop the producer if it is rubbish; then "
        f"`headrace alerts resolve {key}`",
        resolution="manual",
        evidence={"topic": topic, "schemas": tuple(map(str, schema_ids[:SHOWN_IDS]))},
        started_at=now,
        updated_at=now,
    )


def _is_possible(schema_id: SchemaId) -> bool:
    """Whether a registry may have such an id at all."""
    return not isinstance(schema_id, int) or 0 < schema_id <= HIGHEST_ID


def _unknown(schema_id: SchemaId) -> Unusable:
    return Unusable(
        "schema.unknown",
        f"the schema registry has no schema {schema_id}: register it, then replay the message",
    )


def _listed(schema_ids: Iterable[SchemaId]) -> str:
    names = [str(schema_id) for schema_id in schema_ids]
    more = f" and {len(names) - SHOWN_IDS} more" if len(names) > SHOWN_IDS else ""
    return ", ".join(names[:SHOWN_IDS]) + more
