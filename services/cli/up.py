"""`headrace up`: everything on this machine, one readable log, until Ctrl-C."""

import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console, Group
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from services.cli.here import NEXT
from services.cli.log_view import LogView, is_warning, show_own_events
from services.lab.installation import local_stack
from services.lab.terminal import Terminal
from shared.extras import TORCH, is_installed, missing, require
from shared.infrastructure.ladder import Rung
from shared.infrastructure.stack import Stack
from shared.infrastructure.workers import WORKERS
from shared.settings import Settings

app = typer.Typer(add_completion=False)
log = structlog.get_logger()
WATCH_SECONDS = 0.2
LOOKS_A_WORD = 50
TRAINER = "trainer"
"""Of all workers it alone needs torch."""


@app.command()
def up(
    broker: Annotated[
        Rung | None, typer.Option(help="Where the broker comes from; absent: embedded, or HEADRACE_KAFKA.")
    ] = None,
    redis: Annotated[
        Rung | None, typer.Option(help="Where Redis comes from; absent: embedded, or HEADRACE_REDIS.")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where everything is kept.")] = None,
    worker: Annotated[list[str] | None, typer.Option(help="Only these workers; absent: all.")] = None,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", help="All that workers log, not only warnings; it is kept anyway."),
    ] = False,
    load: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Your own catalogue, loaded as by `headrace load FILE`."),
    ] = None,
) -> None:
    """Start broker, Redis, topics and every worker; Ctrl-C stops them, the next start goes on from there."""
    settings = Settings.load(data_dir=data_dir)
    kinds = _kinds(worker or ())
    console = Terminal(highlight=False, soft_wrap=True)
    view = LogView([*kinds, "up"])

    def lines(name: str, line: str) -> None:
        if verbose or name == "up" or is_warning(line):
            console.print(view.line(name, line))

    show_own_events(lambda line: lines("up", line))
    if not worker and TRAINER not in kinds:
        log.info("worker.left_out", kind=TRAINER, reason=missing("it", TORCH[0]))
    if not load:
        run(local_stack(settings, kinds, broker=broker, redis=redis, lines=lines), console)
        return
    from services.cli.up_load import CatalogueLoading  # noqa: PLC0415 - for this path alone

    loading = CatalogueLoading(load, console)
    stack = local_stack(settings, kinds, broker=broker, redis=redis, lines=lines)
    run(stack, console, commands=loading.commands, ready=lambda: loading.start(stack.settings))


def _kinds(asked: Sequence[str]) -> list[str]:
    """Return the workers to start: those that were asked for, or all that this installation can run."""
    if TRAINER in asked:
        require("the trainer", *TORCH)
    kinds = [spec.kind for spec in WORKERS if not asked or spec.kind in asked]
    return kinds if is_installed(*TORCH) else [kind for kind in kinds if kind != TRAINER]


def run(
    stack: Stack,
    console: Console,
    *,
    commands: Sequence[str] = NEXT,
    ready: Callable[[], None] | None = None,
) -> None:
    """Start, say where everything is, watch over it until a signal, stop. A second signal kills at once."""
    end = threading.Event()
    interrupted = _on_signals(end, stack)
    try:
        stack.start()
        _wait_ready(stack, end)
        if not end.is_set():
            _show(stack, console, commands)
            if ready:
                ready()
        while not end.wait(WATCH_SECONDS):
            stack.supervise_once()
    finally:
        log.info("stopping", order="workers in reverse, then Redis and broker")
        with suppress(KeyboardInterrupt):
            stack.stop()
        interrupted()
        log.info("stopped", data=str(stack.settings.data_dir))


def _on_signals(end: threading.Event, stack: Stack) -> Callable[[], None]:
    def handle(number: int, _: object) -> None:
        if end.is_set():
            log.warning("killing", signal=signal.Signals(number).name)
            stack.kill_workers()
        end.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    return restore


def _wait_ready(stack: Stack, end: threading.Event) -> None:
    """Wait until all are ready or a signal comes, restarting what dies meanwhile."""
    looks = 0
    while not end.wait(WATCH_SECONDS) and (waiting := stack.not_ready()):
        stack.supervise_once()
        looks += 1
        if looks % LOOKS_A_WORD == 0:
            log.info("waiting", workers=", ".join(waiting))


def _show(stack: Stack, console: Console, commands: Sequence[str] = NEXT) -> None:
    addresses = Table(box=None, show_header=False, pad_edge=False)
    addresses.add_row("Kafka", stack.settings.kafka)
    addresses.add_row("Redis", stack.redis.address.rpartition("@")[2])
    for name in stack.ports:
        addresses.add_row(name, stack.url(name))
    addresses.add_row("data, logs", f"{stack.settings.data_dir}, {stack.logs()}")
    title = Text("In another terminal, in this directory:", style="bold")
    lines = [Text(f"  {command}", style="green") for command in commands]
    end = Rule("Ctrl-C stops everything; the next `headrace up` goes on from here")
    console.print(Group(Rule("ready"), addresses, title, *lines, end))
