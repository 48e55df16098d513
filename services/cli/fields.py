"""`headrace fields`: what attributes the products have, how often, and what a filter can use."""

from datetime import timedelta
from typing import Annotated

import typer

from schemas.fields import FieldsResponse, FieldSummary
from services.cli.listing import GAP, Listing
from services.cli.options import duration
from services.lab.search_client import configured
from services.lab.terminal import Terminal
from shared.patience import ANSWER_SECONDS

SHORT = 24
"""Characters of a text that is an example."""


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
    _listing(answer, terminal.width).show(terminal, empty="no product has a field")
    if answer.partial:
        terminal.print("a shard is missing: its products are not counted", style="bold red")
    if answer.unnamed:
        terminal.print(f"and {answer.unnamed:,} more that are filled less often", style="dim")
    terminal.print(f"{answer.documents:,} products of generation {answer.generation}", style="dim")


def _listing(answer: FieldsResponse, width: int) -> Listing:
    listing = Listing("field", "kind", "filled", "values", right=("filled",))
    rows = [
        (summary.name, _kinds(summary), _share(summary.products, answer.documents), _values(summary))
        for summary in answer.fields
    ]
    taken = sum(max((len(row[number]) for row in rows), default=0) + len(GAP) for number in range(3))
    for name, kinds, filled, values in rows:
        listing.add(name, kinds, filled, _cut(values, max(SHORT, width - taken)))
    return listing


def _share(part: int, whole: int) -> str:
    """Return a share in per cent that says 0 and 100 only of none and all."""
    if part == whole:
        return "100 %"
    return f"{min(99.9, max(0.1, 100 * part / whole)):.1f} %"


def _kinds(summary: FieldSummary) -> str:
    """Return the kinds of its values, the most frequent first, with their counts where there are several."""
    kinds = sorted(summary.kinds.items(), key=lambda pair: -pair[1])
    if len(kinds) > 1:
        return ", ".join(f"{kind} {count:,}" for kind, count in kinds)
    return kinds[0][0] if kinds else "long text"


def _values(summary: FieldSummary) -> str:
    """Return its range and some texts on one line; a text that is too long for a filter is none of them."""
    numbers = "" if summary.least is None else f"{summary.least:g} to {summary.greatest:g}"
    texts = ", ".join(_cut(" ".join(text.split()), SHORT) for text in summary.examples)
    long = f"{summary.too_long:,} too long for filters" if summary.too_long else ""
    return "; ".join(filter(None, (long, numbers, texts)))


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
