"""How far the joins have come by what lies in `search.outcomes.v1`: more than Redis says, if it went back."""

from collections.abc import Awaitable, Callable, Mapping

from pydantic import ValidationError

from schemas.judgements import Outcome
from shared.kafka.topic_reader import TopicReader
from shared.records import Record
from shared.settings import Settings

BEYOND = 2**63
LastSequences = Callable[[int], Awaitable[Mapping[int, int]]]
"""Returns the highest sequence number of each origin among the last outcomes, of an incarnation."""


async def nothing_published(incarnation: int) -> Mapping[int, int]:  # noqa: ARG001 - of every one
    """Return that nothing is known."""
    return {}


def last_sequences(settings: Settings) -> LastSequences:
    """Return who asks the broker: the last outcome of each partition; raises `TransientError`.

    If any outcome was written since a moment, one of these was.
    """

    async def ask(incarnation: int) -> Mapping[int, int]:
        highest: dict[int, int] = {}
        async with TopicReader(settings, [Outcome.topic]) as reader:
            async for record in reader.last():
                note(record, incarnation, highest)
        return highest

    return ask


def note(record: Record, incarnation: int, highest: dict[int, int]) -> None:
    """Take note of one outcome of this incarnation, or of a later one, up to which nothing comes."""
    try:
        outcome = Outcome.decode(record.value or b"")
    except ValidationError:
        return
    if outcome.incarnation >= incarnation:
        sequence = outcome.sequence if outcome.incarnation == incarnation else BEYOND
        highest[outcome.origin] = max(sequence, highest.get(outcome.origin, 0))
