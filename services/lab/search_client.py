"""The client of the search API as the commands use it: found by itself, with the configured token."""

from datetime import timedelta

import shared.settings
from headrace.search_api import SearchClient
from services.lab import addresses
from services.search.settings import Settings

PATIENT = timedelta(seconds=60)


def token() -> str:
    """Return the token that the configured search asks for: its first, if it has any."""
    tokens = Settings.load().search.tokens
    return tokens[0].get_secret_value() if tokens else ""


def configured(url: str | None = None, *, timeout: timedelta = PATIENT) -> SearchClient:
    """Return a client of the given API, else of the one that runs here, else of the configured one."""
    return client_of(Settings.load(), url, timeout=timeout)


def client_of(
    installation: shared.settings.Settings, url: str | None = None, *, timeout: timedelta = PATIENT
) -> SearchClient:
    """Return a client of the search API of that installation."""
    return SearchClient(url or addresses.url("search", installation), token=token(), timeout=timeout)
