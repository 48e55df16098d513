"""What was read, in portions that a handler takes at once."""

from collections.abc import Iterator, Sequence

from shared.records import Record


def chunks(records: Sequence[Record], size: int) -> Iterator[list[Record]]:
    """Split records, in order, after each one that brings the bytes of a portion to `size`."""
    chunk: list[Record] = []
    weight = 0
    for record in records:
        chunk.append(record)
        weight += len(record.value or b"") + len(record.key or b"")
        if weight >= size:
            yield chunk
            chunk, weight = [], 0
    if chunk:
        yield chunk
