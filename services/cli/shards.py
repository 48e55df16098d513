"""`headrace shards list | snapshot | verify | move | rebuild`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from schemas.shard_storage import StoredShardAnswer
    from services.lab.shard_operator import ShardOperator
    from shared.cluster.members import OwnerRecord

T = TypeVar("T")

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Show, save, check, move and rebuild the shards."
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Generation = Annotated[str, typer.Option(help="Absent: the live one.")]
Partition = Annotated[int, typer.Argument(help="Which one.", min=0)]
MEGABYTE = 1e6
OWNERS = ("owner", "url", "epoch", "offset", "lag", "documents", "segments")
"""What only an owner can say of a partition."""


@app.command("list")
def list_(generation: Generation = "", json_: Json = False) -> None:
    """List the partitions: who serves each, under which epoch, and how far it is."""

    async def ask(operator: "ShardOperator") -> "tuple[dict[int, OwnerRecord], Mapping[int, str]]":
        return await operator.owners(), await operator.pins()

    owners, pins = _run(generation, ask)
    count = max((owner.partitions for owner in owners.values()), default=0)
    if json_:
        _print_json({"shards": [_row(owners.get(number), number, pins) for number in range(count)]})
        return
    from services.cli.listing import Listing  # noqa: PLC0415  lazy: see main
    from services.lab.terminal import Terminal  # noqa: PLC0415  lazy: see main

    columns = ("partition", "owner", "epoch", "offset", "lag", "documents", "segments", "state")
    listing = Listing(*columns, right=("partition", "epoch", "offset", "lag", "documents", "segments"))
    for number in range(count):
        row = _row(owners.get(number), number, pins)
        cells = ["" if row[column] is None else str(row[column]) for column in columns]
        note = "" if row["moved_to"] is None else f"moved to {row['moved_to']}"
        listing.add(*cells, note=note, style="" if row["state"] == "ready" else "yellow")
    listing.show(Terminal(), empty="nobody serves a shard of this generation")


def _row(owner: "OwnerRecord | None", partition: int, pins: Mapping[int, str]) -> dict[str, object]:
    row: dict[str, object] = {"partition": partition, "moved_to": pins.get(partition)}
    if owner is None:
        return {**dict.fromkeys(OWNERS), **row, "state": "nobody serves it"}
    return row | {
        "owner": owner.instance,
        "url": owner.url,
        "epoch": owner.epoch,
        "offset": owner.next_offset,
        "lag": owner.end_offset - owner.next_offset,
        "documents": owner.documents,
        "segments": owner.segments,
        "state": "ready" if owner.ready else "opening",
    }


@app.command()
def snapshot(generation: Generation = "", json_: Json = False) -> None:
    """Have every shard write a checkpoint now, and say what is then on the disks."""
    answers = _run(generation, lambda operator: operator.snapshot())
    _show_stored(answers, json_=json_)


@app.command()
def verify(generation: Generation = "", json_: Json = False) -> None:
    """Have every owner read its checkpoints' files and hold them against their checksums.

    Exit 1 when one is not what was written. What the shards serve is compared with the bus by
    `headrace verify index`.
    """

    async def ask(operator: "ShardOperator") -> "list[StoredShardAnswer]":
        return [await operator.stored(partition, verify=True) for partition in await operator.served(())]

    answers = _run(generation, ask)
    _show_stored(answers, json_=json_)
    if any(answer.faults for answer in answers):
        raise typer.Exit(1)


@app.command()
def move(
    partition: Partition,
    to: Annotated[str | None, typer.Option(help="Its new owner; absent: whom hashing gives it.")] = None,
    generation: Generation = "",
) -> None:
    """Hand a partition over to another worker; while that one opens it, nobody answers for it."""
    handover = _run(generation, lambda operator: operator.move(partition, to, _shower()))
    owner = handover.owner
    if to is None:
        print(f"partition {partition} is moved no longer: it goes where hashing puts it")
    elif not handover.took:
        print(f"partition {partition} stays at {owner.instance}, also when others come")
    else:
        print(
            f"partition {partition} is at {owner.instance} after {handover.took:.1f} s, epoch {owner.epoch}; "
            f"for at most {handover.unanswered:.1f} s nobody was ready for it"
        )


@app.command()
def rebuild(
    partition: Partition,
    generation: Generation = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Drop what is stored of a partition and read its log anew; until that is done it does not answer."""
    if not yes:
        typer.confirm(
            f"Drop the state of partition {partition}, and read its log from the beginning?", abort=True
        )
    handover = _run(generation, lambda operator: operator.rebuild(partition, _shower()))
    owner = handover.owner
    print(
        f"partition {partition} has {owner.documents:,} products again after {handover.took:.1f} s, "
        f"up to offset {owner.next_offset:,}, epoch {owner.epoch}"
    )


def _run(generation: str, ask: "Callable[[ShardOperator], Awaitable[T]]") -> T:
    """Ask the shards of a generation."""
    from services.lab.shard_operator import ShardOperator  # noqa: PLC0415  lazy: see main
    from shared.generations.rollout_log import read_rollouts  # noqa: PLC0415  likewise
    from shared.infrastructure.running import discover  # noqa: PLC0415  likewise
    from shared.settings import Settings  # noqa: PLC0415  likewise

    settings = discover(Settings.load())

    async def run() -> T:
        name = generation or (await read_rollouts(settings)).generations.live
        async with ShardOperator(settings.model_copy(update={"generation": name})) as operator:
            return await ask(operator)

    return asyncio.run(run())


def _shower() -> "Callable[[OwnerRecord], None]":
    """Return what shows on standard error how an owner gets ready: a line whenever that changes."""
    from services.lab.terminal import Terminal  # noqa: PLC0415  lazy: see main

    console, said = Terminal(stderr=True, highlight=False), list[str]()

    def show(owner: "OwnerRecord") -> None:
        state = "ready" if owner.ready else f"at {owner.next_offset:,} of {owner.end_offset:,}"
        line = f"partition {owner.partition}: {owner.instance}, epoch {owner.epoch}, {state}"
        if said[-1:] != [line]:
            said.append(line)
            console.print(line, style="dim")

    return show


def _show_stored(answers: "list[StoredShardAnswer]", *, json_: bool) -> None:
    if json_:
        _print_json({"shards": [answer.model_dump(mode="json") for answer in answers]})
        return
    from services.cli.listing import Listing  # noqa: PLC0415  lazy: see main
    from services.lab.terminal import Terminal  # noqa: PLC0415  lazy: see main

    columns = ("partition", "checkpoint", "offset", "written", "segments", "files", "MB", "checksums")
    listing = Listing(*columns, right=("partition", "offset", "segments", "files", "MB"))
    for answer in answers:
        for number, stored in enumerate(answer.checkpoints):
            checked = "" if not answer.verified else "differ" if answer.faults else "hold"
            listing.add(
                str(answer.partition),
                stored.manifest,
                "" if stored.next_offset is None else str(stored.next_offset),
                f"{stored.written_at:%Y-%m-%d %H:%M:%S}",
                str(stored.segments),
                str(stored.files),
                f"{stored.size / MEGABYTE:.1f}",
                checked,
                note="\n".join(answer.faults) if number == 0 else "",
                style="red" if answer.faults else "",
            )
    listing.show(Terminal(), empty="no checkpoint is stored")


def _print_json(report: Mapping[str, object]) -> None:
    import json  # noqa: PLC0415  lazy: see main

    print(json.dumps(report))
