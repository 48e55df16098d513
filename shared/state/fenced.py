"""State that carries its offset, fenced by an epoch: the rule that every worker's state in Redis keeps.

A state is a hash, with other keys under the same hash tag. It holds, beside what the worker keeps there,

* an *epoch*, the fencing token: whoever takes the state over raises it, and a write that carries a lower one
  is refused (`FencedError`);
* the *next offset* of the log that feeds it: the first message that is not in the state. It moves in the
  same atomic step as the effect, so that a batch counts once, whatever is repeated;
* the *identity of that log*: the offsets of a topic that was made anew are others (`LogReplacedError`);
* the *layout*, so that state is never misread by a version that writes it otherwise.

A state that is gone, or older than its owner left it (Redis was emptied, or restored from a backup), takes no
write (`StateGoneError`, `StateLostError`): what is missing can only be read again from the topics.

Scripts are composed of the parts in `shared/state/lua` and of the worker's own steps.
`shared/testing/fenced.py` has the same rule on a dictionary, and one contract suite runs on both.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from shared.errors import FatalError, FencedError, LogReplacedError, StateGoneError, StateLostError
from shared.records import UNKNOWN_LOG, Log
from shared.state.lua import parts
from shared.state.redis import Script, text, transient

K = TypeVar("K")
log = structlog.get_logger()

LAYOUT = 1
Argument = str | bytes | int | float
WAY_OUT = "start the worker again, and it goes on from what is left and from the topics"


class StateKeys(NamedTuple):
    """The keys of one state: all begin with `prefix`, which has the hash tag in it."""

    prefix: str

    @property
    def state(self) -> str:
        """The hash of epoch, offset and layout."""
        return self.prefix + "state"

    def key(self, name: str) -> str:
        """Return the key of what else is kept under that name."""
        return self.prefix + name


class StateFields(NamedTuple):
    """How a state's hash calls these; a state that several logs feed has them for each."""

    epoch: str = "epoch"
    next_offset: str = "next"
    log: str = "log"

    @classmethod
    def of_log(cls, topic: str) -> "StateFields":
        """Return the fields of one of the logs that feed a state."""
        return cls(f"epoch:{topic}", f"next:{topic}", f"log:{topic}")


FIELDS = StateFields()


@dataclass(slots=True)
class FencedState:
    """A state that this process has taken over: where it lies, our epoch, and the offset as we left it."""

    keys: StateKeys
    epoch: int
    next_offset: int | None
    """The first message that is not in the state; None: it has seen nothing."""
    fields: StateFields = FIELDS

    def verify(self, stored_epoch: bytes | str | int | None) -> None:
        """Raise what a write would raise if this is the epoch that is stored now."""
        if stored_epoch is None:
            raise refusal(self, "GONE")
        if int(stored_epoch) < self.epoch:
            raise refusal(self, "OLDER", f"epoch {int(stored_epoch)}")
        if int(stored_epoch) > self.epoch:
            raise refusal(self, "FENCED", str(int(stored_epoch)))


class Claimed(NamedTuple):
    """What a claim found: our epoch, where the state ends, and the other fields that were asked for."""

    epoch: int
    next_offset: int | None
    other: tuple[str | None, ...] = ()


class StateClaim:
    """Takes states over. `mend` is a script of the worker's own that comes first, in the same step."""

    def __init__(self, redis: Redis, *, mend: str = "", layout: int = LAYOUT) -> None:
        self._layout = layout
        self._script = Script(redis, parts("tag", "layout", "epoch") + mend + parts("claim"))

    async def __call__(  # noqa: PLR0913 - all that whoever takes a state over may know of it
        self,
        keys: StateKeys,
        fields: StateFields = FIELDS,
        *,
        log: Log = UNKNOWN_LOG,
        other: Sequence[str] = (),
        seen_epoch: int = 0,
        create: bool = True,
    ) -> Claimed | None:
        """Take the state over with a new epoch, above `seen_epoch`: older owners are fenced out.

        None: there is no state, and `create` is false. Raises `LogReplacedError`, before anything is changed,
        when the state is of another log than `log` and what it replaces, and `FatalError` for state of
        another layout.
        """
        args: list[Argument] = [*fields, seen_epoch, int(create), self._layout, *log, *other]
        try:
            reply = await self._script(keys=[keys.state], args=args)
        except ResponseError as error:
            raise self._refusal(keys, error) from error
        if reply is None:
            return None
        epoch, next_offset, *rest = reply
        values = tuple(None if value is None else text(value) for value in rest)
        return Claimed(int(epoch), None if next_offset is None else int(next_offset), values)

    def _refusal(self, keys: StateKeys, error: ResponseError) -> Exception:
        match _refused(error):
            case "REPLACED", detail:
                identity, offset = detail.split()
                return LogReplacedError(keys.state, identity=identity, offset=int(offset))
            case "LAYOUT", stored:
                return other_layout(keys, stored, self._layout)
        return error


class FencedScript:
    """A worker's own steps behind the guard: they run for the state's owner, or not at all.

    In `steps`, `state` and `prefix` name the keys; arguments begin at ARGV[2]. `check` comes before the
    offset moves. With `refuses` false the steps run for a former owner too, whom `fenced` tells and who must
    be refused at their end by `return redis.error_reply(refusal)`; such a script moves no offset.
    """

    def __init__(self, redis: Redis, steps: str, *, check: str = "", refuses: bool = True) -> None:
        rule = parts("owner") + check + parts("move") if refuses else check
        self._script = Script(redis, parts("tag", "guard") + rule + steps)

    async def __call__(self, held: FencedState, *args: Argument) -> Any:  # Any: the script decides
        """Run the steps on the state that is held; its offset stays."""
        return await self._run(held, None, args)

    async def apply(self, held: FencedState, *args: Argument, next_offset: int) -> Any:  # Any: as above
        """Run the steps and move the offset, at most once whatever is repeated; None: it had been applied."""
        reply = await self._run(held, next_offset, args)
        held.next_offset = next_offset
        return None if reply in (b"again", "again") else reply

    async def _run(
        self, held: FencedState, following: int | None, args: Sequence[Argument]
    ) -> Any:  # Any: as above
        token = {
            "epoch": held.epoch,
            "fields": tuple(held.fields),
            "from": _offset(held.next_offset),
            "next": _offset(following),
        }
        try:
            return await self._script(keys=[held.keys.state], args=[orjson.dumps(token), *args])
        except ResponseError as error:
            if (refused := _refused(error)) is not None:
                raise refusal(held, *refused) from error
            raise


class FencedBatch:
    """A `FencedScript` whose steps find their arguments in `batch`, by name."""

    def __init__(self, redis: Redis, steps: str, *, refuses: bool = True) -> None:
        self._script = FencedScript(redis, "local batch = cjson.decode(ARGV[2])\n" + steps, refuses=refuses)

    async def __call__(self, held: FencedState, **batch: object) -> Any:  # Any: the script decides
        """Run the steps on the state that is held; its offset stays."""
        return await self._script(held, orjson.dumps(batch))

    async def apply(self, held: FencedState, *, next_offset: int, **batch: object) -> Any:  # Any: as above
        """Run the steps and move the offset, at most once whatever is repeated; None: it had been applied."""
        return await self._script.apply(held, orjson.dumps(batch), next_offset=next_offset)


class LeaderScript:
    """Steps that the leader alone may do: KEYS[1] is the fence, arguments begin at ARGV[2]."""

    def __init__(self, redis: Redis, steps: str) -> None:
        self._script = Script(redis, parts("leader") + steps)

    async def __call__(
        self, *, keys: Sequence[str], epoch: int, args: Sequence[Argument] = ()
    ) -> Any:  # Any: the script decides
        """Run the steps under the epoch of the leader's lease; raises `FencedError` when a newer wrote."""
        try:
            return await self._script(keys=keys, args=[epoch, *args])
        except ResponseError as error:
            if (refused := _refused(error)) is not None:
                raise FencedError.of(keys[0], stored=refused[1], ours=epoch) from error
            raise


@contextmanager
def unless_revoked(states: Mapping[K, FencedState], key: K) -> Iterator[None]:
    """Work on a state that may be revoked meanwhile: being refused is a fault only if it was not.

    `states` are those in hand. Whoever takes a partition over fences its owner out before the owner hears of
    it from its lease; work that was under way then ends early, and is done again by the new owner.
    """
    held = states.get(key)
    try:
        yield
    except (FencedError, KeyError):  # KeyError: it was looked up after it had gone
        if held is not None and states.get(key) is held:
            raise
        log.info("state.revoked_meanwhile", state=held.keys.state if held else str(key))


async def remove(redis: Redis, keys: StateKeys, *names: str) -> None:
    """Remove a state and what is kept under these names: for a state that was given up."""
    with transient():
        await redis.unlink(keys.state, *map(keys.key, names))


def refusal(held: FencedState, kind: str, detail: str = "") -> FatalError:
    """Return the error of a refused write: its one text."""
    state = held.keys.state
    if kind == "FENCED":
        return FencedError.of(state, stored=detail, ours=held.epoch)
    if kind == "GONE":
        return StateGoneError(f"{state}: Redis has lost this state; {WAY_OUT}")
    return StateLostError(
        f"{state}: Redis came back with older data: it is at {detail}, we left it at epoch {held.epoch} and "
        f"offset {held.next_offset or 0}; {WAY_OUT}"
    )


def other_layout(keys: StateKeys, stored: str, layout: int) -> FatalError:
    """Return the error of a state that another version of Headrace wrote."""
    return FatalError(
        f"{keys.state} has layout {stored}, this version reads {layout}: run the version that wrote it, or "
        f"remove the keys {keys.prefix}* and they are built again from the topics"
    )


def _refused(error: ResponseError) -> tuple[str, str] | None:
    match = re.match(r"(FENCED|GONE|OLDER|LAYOUT|REPLACED)\b ?(.*)", str(error))
    return None if match is None else (match[1], match[2])


def _offset(offset: int | None) -> str:
    return "" if offset is None else str(offset)
