"""The rule of fenced state on a dictionary: what `RedisHash` does, without Redis."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shared.errors import LogReplacedError
from shared.records import UNKNOWN_LOG, Log
from shared.state.fenced import FencedState, StateKeys, refusal


@dataclass(slots=True)
class StoredState:
    """What is kept of one state."""

    epoch: int = 0
    next_offset: int | None = None
    log: str = ""
    fields: dict[str, str] = field(default_factory=dict)


class DictHash:
    """A `FencedHash` in `states`; `clock` returns microseconds, as Redis' TIME does."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.states: dict[str, StoredState] = {}
        self._clock = clock

    async def claim(self, keys: StateKeys, *, seen_epoch: int = 0, log: Log = UNKNOWN_LOG) -> FencedState:
        """Take the state over, under an epoch above every one before it."""
        stored = self.states.setdefault(keys.prefix, StoredState())
        if log.identity and stored.log not in {"", log.identity}:
            if stored.log != log.replaces:
                raise LogReplacedError(keys.state, identity=stored.log, offset=stored.next_offset or 0)
            stored.next_offset = stored.next_offset and 0
        stored.log = log.identity or stored.log
        stored.epoch = max(stored.epoch + 1, seen_epoch + 1, self._clock())
        return FencedState(keys, stored.epoch, stored.next_offset)

    async def add(self, held: FencedState, amounts: Mapping[str, int], *, next_offset: int) -> bool:
        """Add to fields and move the offset; False: this batch was in the state already."""
        fields = await self.read(held.keys)
        sums = {name: str(int(fields.get(name, "0")) + amount) for name, amount in amounts.items()}
        return await self.put(held, sums, next_offset=next_offset)

    async def put(self, held: FencedState, values: Mapping[str, str], *, next_offset: int) -> bool:
        """Replace fields and move the offset; False: this batch was in the state already."""
        stored = self.states.get(held.keys.prefix)
        held.verify(None if stored is None else stored.epoch)
        assert stored is not None  # noqa: S101 - or `verify` had raised
        applies = stored.next_offset != next_offset
        if applies:
            if stored.next_offset != held.next_offset:
                raise refusal(held, "OLDER", f"offset {stored.next_offset or 0}")
            stored.fields.update(values)
            stored.next_offset = next_offset
        held.next_offset = next_offset
        return applies

    async def read(self, keys: StateKeys) -> dict[str, str]:
        """Return all fields, whoever owns them."""
        stored = self.states.get(keys.prefix)
        return {} if stored is None else dict(stored.fields)

    async def remove(self, keys: StateKeys) -> None:
        """Remove the state and its fields."""
        self.states.pop(keys.prefix, None)
