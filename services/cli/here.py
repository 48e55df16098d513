"""`headrace` alone: what runs here, and what comes next."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.lab.terminal import Terminal
from shared.infrastructure import running
from shared.infrastructure.running import Running
from shared.settings import Settings

NEXT = (
    "headrace simulate --sessions 200",
    'headrace search "waterproof jacket"',
    "headrace fields",
    "headrace alerts tail",
    "headrace topics diff",
)
"""While an installation runs."""
BEGIN = (
    ("headrace demo", "see the whole loop at work on a sample shop"),
    ("headrace up --load FILE", "your own catalogue: everything on this machine"),
    ("headrace up", "everything on this machine, without products"),
    ("headrace --help", "every command"),
)


def show() -> None:
    """Say what runs on this data directory, where it answers, and which commands come next."""
    settings = Settings.load()
    console = Terminal(highlight=False, soft_wrap=True)
    installation = running.read(settings.data_dir)
    if installation is None:
        console.print(f"No installation runs here (data: {settings.data_dir}). To begin:")
        console.print(_rows(BEGIN))
    else:
        _show_running(console, settings, installation)


def _show_running(console: Console, settings: Settings, installation: Running) -> None:
    console.print(f"An installation runs here (process {installation.pid}, data: {settings.data_dir}):")
    addresses = [("Kafka", installation.kafka)]
    addresses += [(name, settings.url(name, port)) for name, port in installation.ports.items()]
    console.print(_rows(addresses))
    console.print("To go on:")
    for command in (*NEXT, "headrace --help"):
        console.print(Text(f"  {command}", style="green"))


def _rows(rows: Iterable[tuple[str, str]]) -> Table:
    table = Table(box=None, show_header=False)
    for name, what in rows:
        table.add_row(Text(name, style="green"), what)
    return table
