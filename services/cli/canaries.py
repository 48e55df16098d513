"""`headrace canaries add | remove | list | run | import`."""

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from schemas.judgements import Canary
from services.cli.listing import Listing
from services.lab.addresses import url
from services.lab.terminal import Terminal
from services.monitor.canaries import files as canary_files
from services.monitor.canaries.registry import decode
from services.monitor.search_probe import CanaryAnswer, SearchFailedError, SearchProbe
from services.monitor.settings import Settings
from shared.errors import ConfigurationError, PoisonError, TransientError
from shared.generations.rollout_log import read_rollouts
from shared.infrastructure import running
from shared.kafka.client import require_topics
from shared.kafka.compacted import read_once
from shared.kafka.publisher import publish_once
from shared.ports import outgoing
from shared.records import Outgoing
from shared.retrieval.recall import Score, mean, score

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Add known query-product pairs, or run them now."
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
K = Annotated[int, typer.Option(help="How far down the answer its products count.", min=1, max=1000)]
Minimum = Annotated[
    float | None, typer.Option(help="Alert below this recall@k; absent: below its own past.", min=0, max=1)
]
MISSING_SHOWN = 5


@app.command()
def add(
    query: Annotated[str, typer.Argument(help="What a shopper asks.")],
    product_id: Annotated[list[str], typer.Argument(help="The products that belong in the answer.")],
    k: K = 10,
    minimum_recall: Minimum = None,
    id_: Annotated[str, typer.Option("--id", help="Absent: made from the query.")] = "",
    json_: Json = False,
) -> None:
    """Add a canary; one with the same id (or the same query) is replaced."""
    canary = canary_files.canary(query, product_id, k=k, minimum_recall=minimum_recall, canary_id=id_)
    asyncio.run(_publish(_settings(), [outgoing(canary)]))
    if json_:
        print(canary.model_dump_json())
    else:
        Terminal().print(Text.assemble("added ", (canary.canary_id, "bold"), f": “{canary.query}”"))


@app.command()
def remove(canary_id: Annotated[list[str], typer.Argument(help="Which ones.")]) -> None:
    """Remove canaries; their alerts are closed."""
    settings = _settings()
    unknown = set(canary_id) - {canary.canary_id for canary in asyncio.run(_read(settings))}
    if unknown:
        raise ConfigurationError(f"there is no canary {', '.join(sorted(unknown))}")
    tombstones = [Outgoing(topic=Canary.topic, key=name.encode(), value=None) for name in canary_id]
    asyncio.run(_publish(settings, tombstones))
    Terminal().print(f"removed {len(canary_id)}")


@app.command("list")
def list_(json_: Json = False) -> None:
    """List the canaries."""
    canaries = asyncio.run(_read(_settings()))
    if json_:
        print(json.dumps({"canaries": [canary.model_dump(mode="json") for canary in canaries]}))
        return
    listing = Listing("id", "k", "minimum recall", "query", right=("k",))
    for canary in canaries:
        minimum = "its own past" if canary.minimum_recall is None else f"{canary.minimum_recall:.2f}"
        products = _some(canary.product_ids)
        listing.add(canary.canary_id, str(canary.k), minimum, canary.query, note=products)
    listing.show(Terminal(), empty="no canaries; `headrace canaries add QUERY PRODUCT_ID` adds one")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="JSON lines of canaries, or query TAB product a line.")],
    k: K = 10,
    minimum_recall: Minimum = None,
) -> None:
    """Add canaries from a file."""
    canaries = canary_files.read(file, k=k, minimum_recall=minimum_recall)
    asyncio.run(_publish(_settings(), [outgoing(canary) for canary in canaries]))
    Terminal().print(f"added {len(canaries)}")


@app.command()
def run(
    canary_id: Annotated[list[str] | None, typer.Argument(help="Absent: all.")] = None,
    generation: Annotated[str, typer.Option(help="Absent: the live one.")] = "",
    json_: Json = False,
) -> None:
    """Run the canaries now, from here; exit 1 when one is below its minimum or cannot be asked.

    A canary without a minimum of its own is below it when none of its products is found.
    """
    settings = _settings()
    canaries = [c for c in asyncio.run(_read(settings)) if not canary_id or c.canary_id in canary_id]
    if not canaries:
        raise ConfigurationError("no such canary: `headrace canaries list` shows them")
    live = asyncio.run(read_rollouts(settings)).generations.live
    answers = asyncio.run(_ask(settings, canaries, generation or live or settings.generation))
    rows = [CanaryRow(canary, answer) for canary, answer in zip(canaries, answers, strict=True)]
    _report(rows, json_=json_)
    if not all(row.fine for row in rows):
        raise typer.Exit(1)


class CanaryRow:
    """A canary, and how search answered it."""

    def __init__(self, canary: Canary, answer: CanaryAnswer | SearchFailedError) -> None:
        self.canary = canary
        self.failure = str(answer) if isinstance(answer, SearchFailedError) else ""
        self.partial = isinstance(answer, CanaryAnswer) and answer.partial
        self.score = (
            score(canary.product_ids, answer.product_ids, k=canary.k)
            if isinstance(answer, CanaryAnswer)
            else Score(0.0, 0.0, canary.product_ids)
        )

    @property
    def fine(self) -> bool:
        """Whether it reaches its minimum (absent: finds anything)."""
        return not self.failure and self.score.reaches(self.canary.minimum_recall)

    @property
    def verdict(self) -> str:
        """What came of it in a word: fine, below or failed."""
        if self.failure:
            return "failed"
        word = "fine" if self.fine else "below"
        return f"{word}, partial answer" if self.partial else word

    def as_json(self) -> dict[str, object]:
        """Return the row for `--json`."""
        return {
            "canary_id": self.canary.canary_id,
            "query": self.canary.query,
            "k": self.canary.k,
            "recall": self.score.recall,
            "reciprocal_rank": self.score.reciprocal_rank,
            "missing": list(self.score.missing),
            "minimum_recall": self.canary.minimum_recall,
            "fine": self.fine,
            "partial": self.partial,
            "failure": self.failure,
        }


def _report(rows: Sequence[CanaryRow], *, json_: bool) -> None:
    scores = [row.score for row in rows if not row.failure]
    recall, rank = mean([s.recall for s in scores]), mean([s.reciprocal_rank for s in scores])
    if json_:
        canaries = [row.as_json() for row in rows]
        print(json.dumps({"recall": recall, "reciprocal_rank": rank, "canaries": canaries}))
        return
    console = Terminal()
    canary_listing(rows).show(console, empty="no canaries; `headrace canaries add QUERY PRODUCT_ID` adds one")
    below = sum(not row.fine for row in rows)
    console.print(
        f"{len(rows)} canaries: mean recall {recall:.3f}, mean rr {rank:.3f}, {below} below or failed"
    )


def canary_listing(rows: Sequence[CanaryRow]) -> Listing:
    """Return the canaries as rows; of what is missing the first few."""
    listing = Listing("id", "recall@k", "rr", "verdict", "query")
    for row in rows:
        recall = "-" if row.failure else f"{row.score.recall:.2f} @{row.canary.k}"
        rank = "-" if row.failure else f"{row.score.reciprocal_rank:.2f}"
        missing = f"missing {_some(row.score.missing)}" if row.score.missing else ""
        cells = (row.canary.canary_id, recall, rank, row.verdict, row.canary.query)
        listing.add(*cells, note=row.failure or missing, style="" if row.fine else "bold red")
    return listing


def _some(products: Sequence[str]) -> str:
    more = len(products) - MISSING_SHOWN
    return " ".join(products[:MISSING_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _settings() -> Settings:
    """Return the configuration, with the search that the commands reach unless another was set."""
    settings = running.discover(Settings.load())
    if "search_url" in settings.monitor.model_fields_set:
        return settings
    monitor = settings.monitor.model_copy(update={"search_url": url("search", settings)})
    return settings.model_copy(update={"monitor": monitor})


async def _publish(settings: Settings, messages: Sequence[Outgoing]) -> None:
    await require_topics(settings, [Canary.topic])
    await publish_once(settings, messages)


async def _read(settings: Settings) -> list[Canary]:
    """Return the canaries on the topic; what is none is left to the monitor."""
    canaries = []
    for record in (await read_once(settings, Canary.topic)).records.values():
        try:
            canaries.append(decode(record))
        except PoisonError as error:
            Terminal(stderr=True).print(f"skipped {record.key!r}: {error}", style="yellow", highlight=False)
    return sorted(canaries, key=lambda canary: canary.canary_id)


async def _ask(
    settings: Settings, canaries: Sequence[Canary], generation: str
) -> list[CanaryAnswer | SearchFailedError]:
    watched = settings.monitor
    client = SearchProbe(
        watched.search_url,
        token=watched.search_token.get_secret_value(),
        timeout=max(watched.search_timeout, timedelta(seconds=10)),
        concurrency=watched.concurrency,
    )
    try:
        answers = await client.ask_all(canaries, generation=generation)
    finally:
        await client.stop()
    if all(isinstance(answer, SearchFailedError) for answer in answers):
        raise TransientError(f"search at {watched.search_url} cannot be asked: {answers[0]}")
    return answers
