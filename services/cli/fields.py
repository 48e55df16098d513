"""`headrace fields`: what attributes the products have, how often, and what a filter can use."""

from datetime import timedelta
from typing import Annotated

import typer
from rich.table import Table

from schemas.fields import FieldsResponse, FieldSummary
from services.cli.options import duration
from services.lab.search_client import configured
from services.lab.terminal import Terminal
from shared.patience import ANSWER_SECONDS

WIDE = 100
NOT_FILTERED = "not filtered"


def fields(
    generation: Annotated[str | None, typer.Option(help="Index generation; absent: the live one.")] = None,
    url: Annotated[str | None, typer.Option(help="The search API; absent: the one that runs here.")] = None,
    wait: Annotated[timedelta, duration("--wait", help_="For an answer, at most so long.")] = timedelta(
        seconds=ANSWER_SECONDS
    ),
    json: Annotated[bool, typer.Option("--json", help="Print the API's answer.")] = False,
) -> None:
    """List what products have: what can be filtered, of which kind it is, how often it is filled."""
    with configured(url, timeout=wait) as client:
        answer = client.fields(generation=generation)
    if json:
        print(answer.model_dump_json())
        return
    terminal = Terminal(highlight=False)
    terminal.print(_table(answer, terminal.width) if answer.fields else "no product has a field")
    if answer.partial:
        terminal.print("a shard is missing: its products are not counted", style="bold red")
    if answer.unnamed:
        terminal.print(f"and {answer.unnamed:,} more that are filled less often", style="dim")
    terminal.print(f"{answer.documents:,} products of generation {answer.generation}", style="dim")


def _table(answer: FieldsResponse, width: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("field", no_wrap=True, max_width=max(16, width // 3), overflow="ellipsis")
    table.add_column("kind", no_wrap=True)
    table.add_column("filled", justify="right", no_wrap=True)
    table.add_column("values", max_width=width, overflow="ellipsis", no_wrap=True)
    for summary in answer.fields:
        filled = f"{_share(summary.products, answer.documents)}"
        table.add_row(summary.name, _kinds(summary), filled, _values(summary))
    return table


def _share(part: int, whole: int) -> str:
    """Return a share in per cent that says 0 and 100 only of none and all."""
    if part == whole:
        return "100 %"
    return f"{min(99.9, max(0.1, 100 * part / whole)):.1f} %"


def _kinds(summary: FieldSummary) -> str:
    """Return the kinds, the most frequent first, with their counts where there are several."""
    kinds = sorted(summary.kinds.items(), key=lambda pair: -pair[1])
    if len(kinds) == 1 and not summary.too_long:
        return kinds[0][0]
    counted = [f"{kind} {count:,}" for kind, count in kinds]
    return ", ".join([*counted, *([f"long text {summary.too_long:,}"] if summary.too_long else [])])


def _values(summary: FieldSummary) -> str:
    if not summary.kinds:
        return NOT_FILTERED
    numbers = "" if summary.least is None else f"{summary.least:g} to {summary.greatest:g}"
    return "; ".join(filter(None, (numbers, ", ".join(summary.examples))))
