"""`headrace drift status`: what is watched for drift, how far it has learned, what is alarmed."""

import json
from typing import Annotated

import httpx
import typer
from pydantic import BaseModel
from rich.table import Table

from services.cli.neighbours import no_worker
from services.lab.addresses import url
from services.lab.terminal import Terminal
from shared.errors import TransientError
from shared.infrastructure.running import discover
from shared.patience import ANSWER_SECONDS
from shared.settings import Settings

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Show what is watched for drift.")


class SignalRow(BaseModel):
    """One signal."""

    scope: str
    signal: str
    learned: float
    alarmed: bool
    cause: str | None
    psi: float | None = None
    """Population stability index of the newest window's values against the last weeks."""
    psi_by_chance: float | None = None


class DriftStatus(BaseModel):
    """What the monitor answers."""

    false_alarm_every: float
    judged_until: str
    signals: list[SignalRow]


@app.callback()
def drift() -> None:
    """Show what is watched for drift; its alarms are among the alerts."""


@app.command()
def status(json_: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Show every signal: how far it has learned, and whether it is alarmed."""
    address = url("monitor", discover(Settings.load()))
    try:
        answer = httpx.get(f"{address}/drift", timeout=ANSWER_SECONDS, trust_env=False).raise_for_status()
    except httpx.HTTPStatusError as error:
        raise TransientError(f"the monitor at {address} answers {error.response.status_code}") from error
    except httpx.HTTPError as error:
        raise no_worker("monitor", address, type(error).__name__) from error
    drift_status = DriftStatus.model_validate_json(answer.content)
    if json_:
        print(json.dumps(drift_status.model_dump()))
    else:
        Terminal(highlight=False).print(signal_table(drift_status))


def signal_table(drift_status: DriftStatus) -> Table:
    """Return the signals as a table."""
    days = drift_status.false_alarm_every / 86400
    caption = f"one false alarm in {days:g} days is stated; judged until {drift_status.judged_until}"
    shown = Table(box=None, pad_edge=False, caption=caption, caption_justify="left")
    for column in ("scope", "signal", "learned", "PSI (by chance)", ""):
        right = column.startswith(("learned", "PSI"))
        shown.add_column(column, justify="right" if right else "left", no_wrap=True)
    for row in drift_status.signals:
        state = f"alarmed ({row.cause})" if row.alarmed else "quiet" if row.learned >= 1 else "learning"
        psi = "" if row.psi is None else f"{row.psi:.3f} ({row.psi_by_chance or 0:.3f})"
        shown.add_row(row.scope, row.signal, f"{row.learned:.0%}", psi, state)
    return shown
