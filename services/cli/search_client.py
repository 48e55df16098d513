"""The search API as the commands use it: found by itself, errors in one line with their fix."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

import shared.settings
from services.cli import addresses
from services.search.settings import Settings
from shared.errors import ConfigurationError, HeadraceError, TransientError

JsonObject = dict[str, Any]  # Any: JSON


def credentials() -> dict[str, str]:
    """Return the headers that the configured search asks for: its first token, if it has any."""
    tokens = Settings.load().search.tokens
    return {"Authorization": f"Bearer {tokens[0].get_secret_value()}"} if tokens else {}


class SearchRefusedError(HeadraceError):
    """The API refused; the message has its reason and its fix."""


class SearchClient:
    """Speaks with one search API; use it as a context manager."""

    def __init__(self, url: str, *, headers: Mapping[str, str] | None = None) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False)

    @classmethod
    def configured(cls, url: str | None = None) -> "SearchClient":
        """Return a client of the given API, else of the one that runs here, else of the configured one."""
        return cls.of(Settings.load(), url)

    @classmethod
    def of(cls, installation: shared.settings.Settings, url: str | None = None) -> "SearchClient":
        """Return a client of the search API of that installation."""
        return cls(url or addresses.url("search", installation), headers=credentials())

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._client.close()

    def search(self, **body: Any) -> JsonObject:  # Any: JSON
        """`POST /search`; raises `SearchRefusedError` or `TransientError`."""
        return self._ask(
            "POST", "/search", json={key: each for key, each in body.items() if each is not None}
        )

    def why(self, **parameters: str) -> JsonObject:
        """`GET /why`."""
        return self._ask("GET", "/why", params=parameters)

    def product(self, product_id: str) -> JsonObject | None:
        """`GET /product/{id}`; None when there is no such product."""
        try:
            return self._ask("GET", f"/product/{quote(product_id, safe='')}")
        except _NotFoundError:
            return None

    def _ask(self, method: str, path: str, **options: Any) -> JsonObject:  # Any: httpx's own options
        try:
            response = self._client.request(method, path, **options)
        except httpx.UnsupportedProtocol as error:
            raise ConfigurationError(f"{self.url} is not an address: {error}") from error
        except httpx.TransportError as error:
            raise TransientError(
                f"no search API at {self.url} ({error}): start one with `headrace up`"
            ) from error
        if response.is_success:
            found: JsonObject = response.json()
            return found
        raise _refused(response)


class _NotFoundError(SearchRefusedError):
    pass


def _refused(response: httpx.Response) -> HeadraceError:
    try:
        problem = response.json()
        text = f"{problem['detail']} ({problem['fix']})"
    except (ValueError, KeyError, TypeError):
        text = f"HTTP {response.status_code}: {response.text[:300]}"
    if response.status_code == httpx.codes.NOT_FOUND:
        return _NotFoundError(text)
    if response.status_code in {429, 503, 504}:
        return TransientError(text)
    return SearchRefusedError(text)
