"""The `headrace` command. A command's module is imported when the command is invoked, not before."""

import gc
import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from services.lab.printable import printable
from shared.patience import hurry

if TYPE_CHECKING:
    from typer._click import Command, Context  # what typer's own groups are made of


class CommandEntry(NamedTuple):
    """Where a command is (`module:attribute`), and one line about it."""

    target: str
    help: str
    hidden: bool = False
    patient: bool = False
    """Whether it waits for brokers, as what serves or is measured does; of others a person waits."""


COMMANDS: dict[str, CommandEntry] = {
    "demo": CommandEntry(
        "services.cli.demo:app",
        "See the whole loop at work on a sample shop, on this machine.",
        patient=True,
    ),
    "up": CommandEntry(
        "services.cli.up:app",
        "Start broker, Redis, topics and every worker on this machine.",
        patient=True,
    ),
    "load": CommandEntry("services.cli.load:app", "Load a catalogue from files."),
    "search": CommandEntry("services.cli.search:app", "Search the catalogue from the terminal."),
    "fields": CommandEntry(
        "services.cli.fields:fields", "List what products have, and what can be filtered."
    ),
    "simulate": CommandEntry(
        "services.cli.simulate:app", "Send shoppers with a known click model to the topics."
    ),
    "judgements": CommandEntry("services.cli.judgements:app", "Show or export the relevance judgements."),
    "negatives": CommandEntry("services.cli.negatives:negatives", "Show whether mined negatives are right."),
    "dataset": CommandEntry(
        "services.cli.dataset:app", "Build training data from judgements, or show what is in it."
    ),
    "rollout": CommandEntry(
        "services.cli.rollout:app", "Build, promote, roll back and retire index generations."
    ),
    "canaries": CommandEntry("services.cli.canaries:app", "Add known query-product pairs, or run them now."),
    "alerts": CommandEntry("services.cli.alerts:app", "Follow the alerts."),
    "drift": CommandEntry("services.cli.drift:app", "Show what is watched for drift."),
    "shards": CommandEntry("services.cli.shards:app", "Show, save, check, move and rebuild the shards."),
    "catalogue": CommandEntry(
        "services.cli.catalogue:app", "Say what counts when a source was restored, or a table emptied."
    ),
    "topics": CommandEntry(
        "services.cli.topics:app", "Create the topics, or show how they differ from the plan."
    ),
    "schemas": CommandEntry(
        "services.cli.schemas:app", "Export the message schemas, or check a file against them."
    ),
    "dlq": CommandEntry("services.cli.dlq:app", "List, show and replay dead letters."),
    "config": CommandEntry(
        "services.cli.config:app", "Show the configuration and where each value comes from."
    ),
    "train": CommandEntry("services.cli.train:app", "Ask for a fine-tuned model, and watch it being made."),
    "models": CommandEntry("services.cli.models:app", "List models, show one's card, or import one."),
    "evaluate": CommandEntry(
        "services.cli.evaluate:app", "Measure search quality on a data set with grades."
    ),
    "verify": CommandEntry(
        "services.cli.verify:app", "Recompute index or judgements from the topics and compare."
    ),
    "bench": CommandEntry(
        "services.cli.bench:app", "Measure throughput and freshness on this machine.", patient=True
    ),
    "adopt": CommandEntry(
        "services.cli.adopt:adopt", "Take a Redis namespace over from an installation that is gone."
    ),
    "worker": CommandEntry(
        "services.cli.worker:app", "Run one worker in the foreground.", hidden=True, patient=True
    ),
}


def load(name: str) -> "Command":
    """Import one command; raises `ConfigurationError` when this installation lacks it."""
    from shared.errors import ConfigurationError  # noqa: PLC0415  `--help` does without it
    from shared.extras import missing  # noqa: PLC0415  likewise

    module, _, attribute = COMMANDS[name].target.partition(":")
    gc.disable()  # a fifth of the time: nothing that is imported is garbage
    try:
        loaded: typer.Typer | Callable[..., object] = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name == module:
            raise ConfigurationError(f"`headrace {name}` is not part of this installation") from error
        raise ConfigurationError(missing(f"`headrace {name}`", error.name or "")) from error
    finally:
        gc.enable()
    if not isinstance(loaded, typer.Typer):
        function, loaded = loaded, typer.Typer(add_completion=False)
        loaded.command()(function)
    command = typer.main.get_command(loaded)
    command.name = name
    return command


class LazyGroup(TyperGroup):
    """Lists commands from the table, and imports the one that is invoked."""

    def __init__(self, **attributes: Any) -> None:  # Any: typer's own
        super().__init__(**attributes)
        for name, entry in COMMANDS.items():  # stand-ins that know their one line of help
            self.add_command(TyperCommand(name, help=entry.help, hidden=entry.hidden))

    def resolve_command(
        self, ctx: "Context", args: list[str]
    ) -> "tuple[str | None, Command | None, list[str]]":
        """Return the real command, or fail as every command line does on an unknown name."""
        if args and args[0] in COMMANDS:
            command = load(args[0])
            _keep_events_off_what_is_printed()
            if not COMMANDS[args[0]].patient:
                hurry()
            return args[0], command, args[1:]
        return super().resolve_command(ctx, args)


def _keep_events_off_what_is_printed() -> None:
    """Send what is logged meanwhile to the standard error; a command may send it elsewhere."""
    import structlog  # noqa: PLC0415  `--help` does without it

    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


app = typer.Typer(
    cls=LazyGroup,
    invoke_without_command=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  `--help` does without it

        try:
            print(f"headrace {version('headrace')}")
        except PackageNotFoundError:
            print("headrace, from a source tree")
        raise typer.Exit


@app.callback()
def headrace(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", help="TOML file with settings.", exists=True, dir_okay=False, metavar="FILE"
        ),
    ] = None,
    _: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Keep a neural product search fresh from Kafka: ingest, index, search, judge, watch."""
    if config is not None:
        from shared.settings import use_file  # noqa: PLC0415  `--help` does without it

        use_file(config)
    if context.invoked_subcommand is None:
        from services.cli.here import show  # noqa: PLC0415  `--help` does without it

        show()


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line (absent: this process's); an expected error is one line.

    Exits with 0, with 2 for a wrong configuration or usage, else with 1.
    """
    from shared.errors import ConfigurationError, HeadraceError  # noqa: PLC0415  as light as it gets
    from shared.extras import EXTRAS, missing  # noqa: PLC0415  likewise

    # As the first process of a container, which ignores signals without a handler, it could not be stopped.
    signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # errors are raised, and said in one line
    try:
        copy_context().run(app, arguments, prog_name="headrace")
    except HeadraceError as error:
        print(f"headrace: {printable(str(error))}", file=sys.stderr)
        sys.exit(2 if isinstance(error, ConfigurationError) else 1)
    except ModuleNotFoundError as error:  # of what is imported when it is used
        package = error.name or ""
        if package not in EXTRAS:
            raise
        print(f"headrace: {missing('this command', package)}", file=sys.stderr)
        sys.exit(2)
    sys.exit(0)


if __name__ == "__main__":
    run()
