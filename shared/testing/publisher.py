"""A publisher that keeps what it is given, and can be told to fail."""

from collections.abc import Sequence

from shared.records import Outgoing


class MemoryPublisher:
    """Passes the publisher's contract suite; `failure`, when set, is raised instead of writing."""

    def __init__(self) -> None:
        self.messages: list[Outgoing] = []
        self.failure: Exception | None = None

    async def start(self) -> None:
        """Nothing to connect to."""

    async def stop(self) -> None:
        """Nothing to disconnect from."""

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Keep the messages, in order."""
        if self.failure is not None:
            raise self.failure
        self.messages.extend(messages)

    def of(self, topic: str) -> list[Outgoing]:
        """Return what was written to one topic."""
        return [message for message in self.messages if message.topic == topic]
