"""Dead letters: each message that can not be used must lie in `<topic>.dlq`, whole, and no other."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from services.cli.dead_letters import Letter
from shared.dead_letters import PREFIX, REASON, original
from shared.records import Headers, Partition, Record

CONNECT_HEADERS = 10


class Content(NamedTuple):
    """A message as its producer wrote it."""

    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(slots=True)
class Letters:
    """What must be dead-lettered (`refused`), and what was (`taken`), of some topics."""

    refused: dict[tuple[Partition, int], tuple[Content, str]] = field(default_factory=dict)
    """By where it lay: content and reason."""
    written: dict[tuple[Partition, int], tuple[Content, str]] = field(default_factory=dict)
    again: int = 0
    """Letters written more than once: a worker was killed between the letter and its offset."""
    unfit: list[str] = field(default_factory=list)

    def refuse(self, record: Record, reason: str) -> None:
        """Note that this message can not be used."""
        content = Content(record.key, record.value, record.headers)
        self.refused[record.partition, record.offset] = content, reason

    def take(self, record: Record) -> None:
        """Take one record of a dead-letter topic."""
        letter = Letter(record)
        headers = len({name for name, _ in record.headers if name.startswith(PREFIX)})
        partition, offset = letter.said("partition"), letter.said("offset")
        if not partition.isdecimal() or not offset.isdecimal() or headers < CONNECT_HEADERS:
            where = f"{record.partition} @ {record.offset}"
            self.unfit.append(f"{where}: a dead letter with {headers} Connect headers, not {CONNECT_HEADERS}")
            return
        source = Partition(letter.topic, int(partition)), int(offset)
        self.again += source in self.written
        content = Content(record.key, record.value, original(record.headers))
        self.written[source] = content, (record.header(REASON) or b"").decode(errors="replace")

    def differences(self, beginnings: Mapping[Partition, int]) -> Iterator[str]:
        """Say what is missing, what is there and should not be, and what is not whole."""
        yield from self.unfit
        for source in sorted(self.refused.keys() | self.written.keys()):
            (partition, offset), refused, written = source, self.refused.get(source), self.written.get(source)
            where = f"{partition} @ {offset}"
            if offset < beginnings.get(partition, 0):
                continue  # the message itself is gone, nothing can be said of its letter
            if written is None and refused is not None:
                yield f"{where}: can not be used ({refused[1]}), and no dead letter says so"
            elif refused is None:
                yield f"{where}: dead-lettered, although it can be used"
            elif written is not None and written[0] != refused[0]:
                yield f"{where}: its dead letter is not the message, byte for byte"
            elif written is not None and written[1] != refused[1]:
                yield f"{where}: dead-lettered for {written[1]!r}, the reason is {refused[1]!r}"
