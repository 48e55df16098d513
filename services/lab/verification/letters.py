"""Dead letters: each message that can not be used must lie in `<topic>.dlq`, and no other.

Whole, or when it is too large for that, with the heads and the digests of its parts. They are compared so in
any case: nothing large is kept.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from msgspec.structs import replace

from shared.records import Headers, Partition, Record
from shared.streaming.dead_letter_topic import Letter
from shared.streaming.dead_letters import PREFIX, REASON, original
from shared.streaming.excerpts import header, shortened

CONNECT_HEADERS = 10


class Content(NamedTuple):
    """A message as its producer wrote it; of long parts the heads, and in `cut` what they were, as JSON."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    cut: str

    @classmethod
    def of(cls, record: Record, *, cut: str = "") -> Self:
        """Return the content of a record, of which `cut` says what was left out before."""
        part, excerpts = shortened(record)
        named = "".join((value or b"").decode() for _, value in header(excerpts))
        return cls(part.key, part.value, part.headers, cut or named)


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
        self.refused[record.partition, record.offset] = Content.of(record), reason

    def take(self, record: Record) -> None:
        """Take one record of a dead-letter topic."""
        letter = Letter(record)
        connect_headers = len({name for name, _ in record.headers if name.startswith(PREFIX)})
        partition, offset = letter.error_header("partition"), letter.error_header("offset")
        if not partition.isdecimal() or not offset.isdecimal() or connect_headers < CONNECT_HEADERS:
            where = f"{record.partition} @ {record.offset}"
            self.unfit.append(
                f"{where}: a dead letter with {connect_headers} Connect headers, not {CONNECT_HEADERS}"
            )
            return
        source = Partition(letter.topic, int(partition)), int(offset)
        self.again += source in self.written
        message = replace(record, headers=original(record.headers))
        content = Content.of(message, cut=letter.cut)
        self.written[source] = content, (record.header(REASON) or b"").decode(errors="replace")

    def differences(self, beginnings: Mapping[Partition, int]) -> Iterator[str]:
        """Say what is missing, what is there and should not be, and what is not whole."""
        yield from self.unfit
        for source in sorted(self.refused.keys() | self.written.keys()):
            (partition, offset), refused, written = source, self.refused.get(source), self.written.get(source)
            where = f"{partition} @ {offset}"
            if partition not in beginnings or offset < beginnings[partition]:
                continue  # the message itself is gone, or lies where nobody looked: nothing can be said
            if written is None and refused is not None:
                yield f"{where}: can not be used ({refused[1]}), and no dead letter says so"
            elif refused is None:
                yield f"{where}: dead-lettered, although it can be used"
            elif written is not None and written[0] != refused[0]:
                yield f"{where}: its dead letter is not the message, byte for byte"
            elif written is not None and written[1] != refused[1]:
                yield f"{where}: dead-lettered for {written[1]!r}, the reason is {refused[1]!r}"
