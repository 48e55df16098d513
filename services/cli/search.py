"""`headrace search TEXT`: ask the search API from the terminal."""

import re
from enum import StrEnum
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from services.cli.search_client import SearchClient
from shared.errors import ConfigurationError

app = typer.Typer()

JsonObject = dict[str, Any]  # Any: JSON
CONDITION = re.compile(r"(?P<field>[^<>=]+?)\s*(?P<sign><=|>=|<|>|=)\s*(?P<value>.+)", re.DOTALL)
WIDE = 100
"""Columns from which on there is room to say where in the index each hit lies."""
BOUNDS = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}


class Mode(StrEnum):
    """What a search goes by."""

    DENSE = "dense"
    LEXICAL = "lexical"
    HYBRID = "hybrid"


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="What to search for.")],
    k: Annotated[int, typer.Option("--k", "-k", help="How many products.", min=1, max=1000)] = 10,
    mode: Annotated[Mode, typer.Option(help="By meaning, by words, or both.")] = Mode.HYBRID,
    filters: Annotated[
        list[str] | None,
        typer.Option("--filter", help="`price<20`, `brand=Sony`, `color=red,blue`; several are ANDed."),
    ] = None,
    why: Annotated[str | None, typer.Option(help="Explain this product's rank or absence.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Scan every vector.")] = False,
    generation: Annotated[str | None, typer.Option(help="Index generation; absent: the live one.")] = None,
    url: Annotated[str | None, typer.Option(help="The search API; absent: the one that runs here.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the API's answer.")] = False,
) -> None:
    """Search the catalogue."""
    with SearchClient.configured(url) as client:
        if why is not None:
            chosen = {"generation": generation} if generation else {}
            show = _show_reasons
            answer = client.why(query=text, product_id=why, mode=mode.value, **chosen)
        else:
            show = _show
            answer = client.search(
                text=text,
                k=k,
                mode=mode.value,
                filters=[condition(each) for each in filters or ()],
                exact=exact,
                generation=generation,
            )
    if json:
        print(orjson.dumps(answer).decode())
    else:
        show(answer, Console())


def condition(text: str) -> JsonObject:
    """Return `price<20`, `brand=Sony` or `color=red,blue` as a filter; raises `ConfigurationError`."""
    found = CONDITION.fullmatch(text.strip())
    if found is None:
        raise ConfigurationError(f"{text!r} is not a filter: write price<20, brand=Sony or color=red,blue")
    name, sign, value = found["field"].strip(), found["sign"], found["value"].strip()
    if sign in BOUNDS:
        return {"field": name, "op": "range", BOUNDS[sign]: scalar(value)}
    values = [scalar(each.strip()) for each in value.split(",")]
    if len(values) > 1 and not value.startswith('"'):
        return {"field": name, "op": "in", "values": values}
    return {"field": name, "op": "term", "value": scalar(value)}


def scalar(text: str) -> str | float | int | bool:
    """Return the number, truth value or string; quotes make everything a string."""
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1]
    if text in {"true", "false"}:
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _show(answer: JsonObject, console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", justify="right", style="dim", no_wrap=True)
    table.add_column("product", no_wrap=True)
    read, wide = answer.get("last_stage") == "applied", console.width >= WIDE
    left = console.width - 48 - 7 * read - 24 * wide
    table.add_column("title", max_width=max(16, left), overflow="ellipsis", no_wrap=True)
    for name in ("price", "score", "dense", "words", *(("read",) if read else ())):
        table.add_column(name, justify="right", no_wrap=True)
    if wide:
        table.add_column("from", style="dim", no_wrap=True)
    for hit in answer["hits"]:
        fields, scores, place = hit["fields"], hit["scores"], hit["provenance"]
        table.add_row(
            str(hit["rank"]),
            hit["product_id"],
            str(fields.get("title") or fields.get("name") or ""),
            _figure(fields.get("price"), 2),
            _figure(hit["score"], 3),
            _figure(scores["dense"], 3),
            _figure(scores["lexical"], 2),
            *((_figure(scores["last_stage"], 3),) if read else ()),
            *((f"{place['partition']} {place['segment']} {place['offset']}",) if wide else ()),
        )
    console.print(table if answer["hits"] else "nothing found")
    if answer.get("weak"):
        console.print("no hit is similar enough to be right, as far as the model can tell", style="yellow")
    missing = [each for each in answer["partitions"] if not each["answered"]]
    for each in missing:
        console.print(f"shard {each['partition']} is missing: {each['reason']}", style="bold red")
    console.print(
        f"{len(answer['hits'])} of generation {answer['generation']}, {answer['mode']}, "
        f"in {answer['took_ms']:.1f} ms, query {answer['query_id']}",
        style="dim",
    )


def _show_reasons(answer: JsonObject, console: Console) -> None:
    rank = answer["rank"]
    place = f"number {rank}" if rank else "not found"
    console.print(f"{answer['product_id']}: {place} for {answer['query']!r} ({answer['mode']})", style="bold")
    for reason in answer["reasons"]:
        console.print(f"  {reason}", markup=False)


def _figure(value: object, digits: int) -> str:
    return f"{value:,.{digits}f}" if isinstance(value, (int, float)) else ""
