"""Which installation a program means: what it names, else the settings, else what runs on this machine."""

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import ConfigDict, SecretStr

from shared.infrastructure import running
from shared.section import Section
from shared.settings import KafkaSecurity, Port, Settings


class _SearchSection(Section):
    """What a client must know of the search worker's settings; the others are none of its business."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    port: Port = 8800
    tokens: tuple[SecretStr, ...] = ()


class _ClientSettings(Settings):
    search: _SearchSection = _SearchSection()


class FoundInstallation(NamedTuple):
    """Where broker and search API are, and how they are reached."""

    settings: Settings
    search: str
    """The base URL of the search API."""
    token: str
    """Of the search API; empty: it wants none."""


def find(
    *,
    brokers: str | None = None,
    search: str | None = None,
    token: str | None = None,
    security: KafkaSecurity | Mapping[str, object] | None = None,
    topic_prefix: str | None = None,
) -> FoundInstallation:
    """Return the installation that is meant; raises `ConfigurationError` when a setting is wrong.

    For everything that is not named the order is that of the commands: environment (`HEADRACE_...`), TOML
    file, the installation that runs on this data directory, default. Whoever names brokers means those,
    whatever runs here.
    """
    settings = _ClientSettings.load(kafka=brokers, kafka_security=security, topic_prefix=topic_prefix)
    here = running.read(settings.data_dir)
    if here is not None and brokers in {None, here.kafka}:
        settings = running.discover(settings)
    # An embedded broker may be meant without our knowing: it answers empty fetches at once, and the pause
    # that then follows is never met with another one.
    settings = settings.model_copy(update={"kafka_embedded": True})
    section = settings.search
    if token is None:
        token = section.tokens[0].get_secret_value() if section.tokens else ""
    return FoundInstallation(settings, search or settings.url("search", section.port), token)
