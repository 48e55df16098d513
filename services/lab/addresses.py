"""Where the workers listen: as set, else of what runs here, else by default."""

from importlib import import_module

from shared.infrastructure import running
from shared.infrastructure.workers import WORKERS
from shared.settings import Settings

KINDS = tuple(spec.kind for spec in WORKERS)


def port(kind: str, settings: Settings) -> int:
    """Return the port of the worker of that kind."""
    settings_of_kind: Settings = import_module(f"services.{kind}.settings").Settings.load(
        data_dir=settings.data_dir
    )
    number: int = getattr(running.discover(settings_of_kind), kind).port
    return number


def url(kind: str, settings: Settings) -> str:
    """Return the base URL of the worker of that kind."""
    return settings.url(kind, port(kind, settings))


def urls(settings: Settings) -> dict[str, str]:
    """Return the base URL of every worker of the installation by its name, which starts with its kind."""
    installation = running.read(settings.data_dir)
    ports = installation.ports if installation else dict.fromkeys(KINDS, 0)
    return {
        name: url(name, settings) if name in KINDS else settings.url(name, number)
        for name, number in ports.items()
    }
