"""How `headrace demo` is played: on which shop, on which installation."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

from services.cli.log_view import show_own_events
from services.lab.addresses import urls
from services.lab.demo.client import Addresses
from services.lab.demo.console import DemoConsole
from services.lab.demo.run import DemoRun, announce, fresh_directory, watch
from services.lab.installation import local_stack
from services.lab.simulation import shop
from services.lab.simulation.catalogue import load
from services.lab.terminal import Terminal
from shared.infrastructure import running
from shared.settings import Settings


def play(
    data: Path | None,
    products: int,
    *,
    highest_grade: float | None,
    external: bool,
    stay: bool,
    learn: bool,
    sessions: int,
    trial_sessions: int,
) -> bool:
    """Play it on a shop with grades, or on a sample of so many products; return whether every scene held."""
    catalogue = load(data, highest_grade) if data else shop.sample(size=products)
    console = DemoConsole(Terminal(highlight=False))
    run = DemoRun(catalogue, console, learn=learn, sessions=sessions, trial_sessions=trial_sessions)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if external:
            run.play(_addresses())
        else:
            _play_here(run, stay=stay)
    except KeyboardInterrupt:
        console.say("stopped")
    return not console.failures


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _addresses() -> Addresses:
    """Return what the settings point at, or else what `headrace up` runs here."""
    settings = running.discover(Settings.load())
    return Addresses(settings, urls(settings))


def _play_here(run: DemoRun, *, stay: bool) -> None:
    """Start an installation, play on it, and leave it running for the audience."""
    console, settings = run.console, Settings.load()
    directory = fresh_directory(settings)
    show_own_events(_to_file(directory / "logs" / "demo.log"))
    stack = local_stack(settings.model_copy(update={"data_dir": directory}), run.workers)
    console.scene(
        "Start", f"A broker, Redis, the topics and {len(run.workers)} workers, each a process of its own."
    )
    began = time.monotonic()
    try:
        with console.rich.status("starting broker, Redis, topics, workers"):
            stack.start()
        announce(directory, settings.data_dir)
        seconds = time.monotonic() - began
        console.claim(f"broker, Redis and topics are there after {seconds:.1f} s", holds=True)
        run.play(Addresses(stack.settings, {name: stack.url(name) for name in stack.ports}), stack)
        if stay:
            console.say(f"logs: {stack.logs()}")
            console.rich.rule("running until Ctrl-C")
            watch(stack)
    finally:
        console.say("stopping")
        running.forget(settings.data_dir)
        stack.stop()


def _to_file(file: Path) -> Callable[[str], None]:
    file.parent.mkdir(parents=True, exist_ok=True)

    def write(line: str) -> None:
        with file.open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    return write
