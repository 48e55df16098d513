"""A row to a product: its id and its fields, as the bus takes them, and what had to be left out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from schemas.base import MAX_MESSAGE_BYTES, FieldValue
from schemas.wire.change import read_id
from schemas.wire.errors import WireError
from schemas.wire.fields import read_fields
from services.loader.domain.columns import PLAIN, FieldMapping, Mapped
from services.loader.domain.money import SHARED, NumberError, read_money, read_number
from services.loader.domain.rows import FileRow, LineFault, visible

ENCODING = "it has bytes that are not of the file's encoding: name the right one with --encoding"


class Product(NamedTuple):
    """What became of a row: the change that writes the product, and what is wrong with it."""

    product_id: str
    """Empty: it is not known whose row it is."""
    value: bytes | None
    """None: the row is not loaded."""
    faults: tuple[LineFault, ...] = ()


@dataclass(frozen=True, slots=True)
class ProductReader:
    """Reads the rows of one load; `event_time` is the load's, of the fields `texts` one is embedded."""

    reading: FieldMapping
    event_time: str
    texts: Collection[str] = ()

    def read(self, row: FileRow) -> Product:
        """Return the product, and what is wrong with it."""
        ids = self.reading.id_column
        raw = row.values.get(ids)
        try:
            product_id = read_id(self._tidy(raw))
        except WireError as error:
            fault = LineFault.of(row.line, error, column=ids, value=raw)
            if fault.reason == "id.missing":
                fault = fault._replace(fix="the row has no id")
            return Product("", None, (fault,))
        except UnicodeEncodeError:
            return Product("", None, (LineFault(row.line, "encoding.invalid", ENCODING, ids, visible(raw)),))
        faults: list[LineFault] = []
        value = self._written(row, product_id, faults)
        return Product(product_id, value, tuple(faults))

    def _written(self, row: FileRow, product_id: str, faults: list[LineFault]) -> bytes | None:
        """Return the change, or None when it cannot be written; says why among the faults."""
        try:
            read = read_fields(self._fields(row, faults))
            change = {"product_id": product_id, "op": "upsert", "event_time": self.event_time}
            content = orjson.dumps({**change, "fields": read.values})
        except (UnicodeEncodeError, orjson.JSONEncodeError):
            faults.append(_undecodable(row))
            return None
        for lacking in read.left_out:
            column = visible(lacking.attribute)
            faults.append(LineFault(row.line, lacking.reason, lacking.explanation, column, lost=False))
        for name in map(visible, read.cut):
            faults += [LineFault(row.line, "field.cut", "longer than 32 KiB: cut there", name, lost=False)]
        fault = self._objection(row.line, product_id, fields=read.values, size=len(content))
        faults += [fault] if fault else []
        return None if fault and fault.lost else content

    def _objection(
        self, line: int, product_id: str, *, fields: Mapping[str, FieldValue], size: int
    ) -> LineFault | None:
        name = visible(product_id)
        if not fields:
            return LineFault(line, "fields.missing", "there is nothing but an id", value=name)
        if size > MAX_MESSAGE_BYTES:
            return LineFault(line, "message.too_large", f"{size:,} bytes, of 256 KiB at most", value=name)
        if self.texts and not any(fields.get(text) for text in self.texts):
            fix = f"it has no {' or '.join(self.texts)}, so it is not found by meaning: --map title=COLUMN"
            return LineFault(line, "text.empty", fix, value=name, lost=False)
        return None

    def _fields(
        self, row: FileRow, faults: list[LineFault]
    ) -> dict[str, Any]:  # Any: whatever the format has
        """Return the row's values by field; what is empty is absent."""
        fields: dict[str, Any] = {}  # Any: as above
        columns, ids = self.reading.columns, self.reading.id_column
        for column, value in row.values.items():
            if value is None or value == "":
                continue
            mapped = columns.get(column)
            if mapped is None:
                if column == ids:
                    continue
                mapped = Mapped(column, column)
            if type(value) is dict:
                self._take_nested(row.line, column, value, fields=fields, faults=faults)
            else:
                self._take(row.line, mapped, value, fields=fields, faults=faults)
        return fields

    def _take_nested(
        self,
        line: int,
        column: str,
        value: Mapping[str, Any],
        *,
        fields: dict[str, Any],
        faults: list[LineFault],
    ) -> None:
        rest = {}
        for name, inner in value.items():
            mapped = self.reading.columns.get(f"{column}.{name}")
            if mapped is None or (mapped.field == mapped.column and mapped.kind == "text"):
                rest[name] = inner
            else:
                self._take(line, mapped, inner, fields=fields, faults=faults)
        if rest:
            fields[column] = rest

    def _take(
        self, line: int, mapped: Mapped, value: Any, *, fields: dict[str, Any], faults: list[LineFault]
    ) -> None:
        """Put one value where it belongs; a text that should be a number and is none is left out."""
        value = self._tidy(value)
        if type(value) is not str or mapped.kind == "text":
            if value != "":
                fields[mapped.field] = value
            if mapped.kind == "price" and self.reading.currency:
                fields.setdefault("currency", self.reading.currency)
            return
        try:
            self._take_number(mapped, value, fields)
        except NumberError as error:
            faults.append(
                LineFault(line, error.reason, error.fix, visible(mapped.column), visible(value), lost=False)
            )

    def _take_number(self, mapped: Mapped, text: str, fields: dict[str, Any]) -> None:
        if not text:
            return
        if mapped.kind == "digits":
            fields[mapped.field] = orjson.loads(text) if PLAIN.fullmatch(text) else text
            return
        if mapped.kind == "number":
            fields[mapped.field] = read_number(text, self.reading.decimal)
            return
        amount, currency = read_money(text, self.reading.decimal)
        if amount < 0:
            raise NumberError("number.invalid", f"{visible(text)} is below zero")
        fields[mapped.field] = amount
        if not currency or (currency in SHARED and self.reading.currency):
            currency = self.reading.currency
        if currency:
            fields.setdefault("currency", currency)

    def _tidy(self, value: Any) -> Any:  # Any: whatever the format has
        return value.strip() if type(value) is str and not self.reading.typed else value


def delete(product_id: str, event_time: str) -> bytes:
    """Return the change that deletes a product, as of a load."""
    return orjson.dumps({"product_id": product_id, "op": "delete", "event_time": event_time})


def presence(product_id: str, event_time: str) -> bytes:
    """Return a change of nothing: the file has the product, but its line cannot be loaded.

    So it stays as it is, and counts among the products of the load.
    """
    return orjson.dumps({"product_id": product_id, "op": "patch", "event_time": event_time, "fields": {}})


def _undecodable(row: FileRow) -> LineFault:
    for column, value in row.values.items():
        try:
            orjson.dumps((column, value))
        except (UnicodeEncodeError, orjson.JSONEncodeError):
            return LineFault(row.line, "encoding.invalid", ENCODING, visible(column), visible(value))
    return LineFault(row.line, "encoding.invalid", ENCODING)
