"""`headrace search TEXT`: ask the search API from the terminal."""

import re
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from schemas.search_api import Mode, SearchHit, SearchResponse, WhyResponse
from services.cli.options import duration
from services.lab.search_client import configured
from services.lab.terminal import Terminal
from shared.errors import ConfigurationError
from shared.patience import ANSWER_SECONDS

app = typer.Typer(add_completion=False)

CONDITION = re.compile(r"(?P<field>[^<>=]+?)\s*(?P<sign><=|>=|<|>|=)\s*(?P<value>.+)", re.DOTALL)
WIDE = 100
"""Columns from which on there is room to say where in the index each hit lies."""
SIGNS = ("<", ">", "=")
BOUNDS = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="What to search for.")],
    k: Annotated[int, typer.Option("--k", "-k", help="How many products.", min=1, max=1000)] = 10,
    mode: Annotated[Mode, typer.Option(help="By meaning, by words, or both.")] = "hybrid",
    filters: Annotated[
        list[str] | None,
        typer.Option("--filter", help="`price<20`, `brand=Sony`, `color=red,blue`; several are ANDed."),
    ] = None,
    why: Annotated[str | None, typer.Option(help="Explain this product's rank or absence.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Scan every vector.")] = False,
    generation: Annotated[str | None, typer.Option(help="Index generation; absent: the live one.")] = None,
    log: Annotated[
        bool, typer.Option("--log", help="Count as a shopper: in judgements, drift, trials.")
    ] = False,
    session: Annotated[
        str | None, typer.Option(help="As this session, which --log may put in a trial.")
    ] = None,
    query_id: Annotated[str | None, typer.Option(help="Go on with the list of this query id.")] = None,
    url: Annotated[str | None, typer.Option(help="The search API; absent: the one that runs here.")] = None,
    wait: Annotated[timedelta, duration("--wait", help_="For an answer, at most so long.")] = timedelta(
        seconds=ANSWER_SECONDS
    ),
    json: Annotated[bool, typer.Option("--json", help="Print the API's answer.")] = False,
) -> None:
    """Search the catalogue; nobody counts it as a shopper's search, but with --log."""
    conditions = [condition(one) for one in filters or ()]
    with configured(url, timeout=wait) as client:
        answer: SearchResponse | WhyResponse
        if why is not None:
            answer = client.why(text, why, mode=mode, generation=generation)
        else:
            answer = client.search(
                text,
                k=k,
                mode=mode,
                filters=conditions,
                exact=exact,
                generation=generation,
                session_id=session,
                query_id=query_id,
                log=log,
            )
    _print(answer, as_json=json, counted=log)


def _print(answer: SearchResponse | WhyResponse, *, as_json: bool, counted: bool) -> None:
    if as_json:
        print(answer.model_dump_json())
    elif isinstance(answer, WhyResponse):
        _show_reasons(answer, Terminal())
    else:
        _show(answer, Terminal(), counted=counted)


def condition(text: str) -> dict[str, object]:
    """Return `price<20`, `brand=Sony` or `color=red,blue` as a filter; raises `ConfigurationError`."""
    parts = CONDITION.fullmatch(text.strip())
    if parts is None:
        raise ConfigurationError(f"{text!r} is not a filter: write price<20, brand=Sony or color=red,blue")
    name, sign, value = parts["field"].strip(), parts["sign"], parts["value"].strip()
    if value[:1] in SIGNS:
        raise ConfigurationError(f"{text!r} is not a filter: {value!r} begins with a sign; quote a text")
    if sign in BOUNDS:
        return {"field": name, "op": "range", BOUNDS[sign]: scalar(value)}
    values = [scalar(one.strip()) for one in value.split(",")]
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


def _show(answer: SearchResponse, console: Console, *, counted: bool) -> None:
    console.print(_table(answer, console.width) if answer.hits else "nothing found")
    if answer.weak:
        console.print("no hit is similar enough to be right, as far as the model can tell", style="yellow")
    if _drafted(answer):
        teams = "team A is the live generation's, B the candidate's"
        console.print(f"trial {answer.trial}: {teams}", style="dim")
    for report in answer.partitions:
        if not report.answered:
            console.print(f"shard {report.partition} is missing: {report.reason}", style="bold red")
    console.print(
        f"{len(answer.hits)} of generation {answer.generation}, {answer.mode}, "
        f"in {answer.took_ms:.1f} ms, query {answer.query_id}{'' if counted else ' (not counted: --log)'}",
        style="dim",
    )


def _drafted(answer: SearchResponse) -> bool:
    return any(hit.team for hit in answer.hits)


def _table(answer: SearchResponse, width: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", justify="right", style="dim", no_wrap=True)
    drafted, read, wide = _drafted(answer), answer.reranker == "applied", width >= WIDE
    if drafted:
        table.add_column("team", no_wrap=True)
    table.add_column("product", no_wrap=True)
    left = width - 48 - 6 * drafted - 7 * read - 24 * wide
    table.add_column("title", max_width=max(16, left), overflow="ellipsis", no_wrap=True)
    for name in ("price", "score", "dense", "words", *(("read",) if read else ())):
        table.add_column(name, justify="right", no_wrap=True)
    if wide:
        table.add_column("from", style="dim", no_wrap=True)
    for hit in answer.hits:
        table.add_row(*_row(hit, drafted=drafted, read=read, wide=wide))
    return table


def _row(hit: SearchHit, *, drafted: bool, read: bool, wide: bool) -> list[str]:
    scores, place = hit.scores, hit.provenance
    return [
        str(hit.rank),
        *((hit.team or "",) if drafted else ()),
        hit.product_id,
        str(hit.fields.get("title") or hit.fields.get("name") or ""),
        _figure(hit.fields.get("price"), 2),
        _figure(hit.score, 3),
        _figure(scores.dense, 3),
        _figure(scores.lexical, 2),
        *((_figure(scores.reranker, 3),) if read else ()),
        *((f"{place.partition} {place.segment} {place.offset}",) if wide else ()),
    ]


def _show_reasons(answer: WhyResponse, console: Console) -> None:
    place = f"number {answer.rank}" if answer.rank else "not found"
    console.print(f"{answer.product_id}: {place} for {answer.query!r} ({answer.mode})", style="bold")
    for reason in answer.reasons:
        console.print(f"  {reason}", markup=False)


def _figure(value: object, digits: int) -> str:
    return f"{value:,.{digits}f}" if isinstance(value, (int, float)) else ""
