"""A schema registry that speaks Confluent's API: Confluent's own, Apicurio's, Karapace.

<https://docs.confluent.io/platform/current/schema-registry/develop/api.html>
"""

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote

import httpx
import structlog

from schemas.wire.errors import WireError
from schemas.wire.strict_json import Object, parse
from shared.errors import ConfigurationError, TransientError
from shared.schema_registry.framing import SchemaId
from shared.settings import RegistrySettings

log = structlog.get_logger()

TIMEOUT_SECONDS = 5.0
MAX_SCHEMA_BYTES = 8 * 1024 * 1024
MAX_REFERENCES = 256
REFUSED = (401, 403)
NOT_FOUND = 404
FIXES: Mapping[str, str] = {
    "away": "start it, or set HEADRACE_REGISTRY__URL",
    "address": "set HEADRACE_REGISTRY__URL (Apicurio's ends in /apis/ccompat/v7)",
    "credentials": "set HEADRACE_REGISTRY__USERNAME and ..._PASSWORD, or HEADRACE_REGISTRY__TOKEN",
    "certificate": "name its authority in HEADRACE_REGISTRY__CA_FILE",
    "failing": "its log has the reason",
}
"""What to do, by what is wrong."""


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """A schema as it was registered; `references` by the name that others use, each after what it needs."""

    kind: str
    text: str
    references: Mapping[str, str] = field(default_factory=dict)


class SchemaRegistry(Protocol):
    """Where the schemas are that messages name."""

    async def schema(self, schema_id: SchemaId) -> RegisteredSchema | None:
        """Return the schema with all that it refers to; None when there is none of that id.

        Raises `TransientError` when the registry does not answer, with the cause, and `WireError` when
        what it has can never be used.
        """
        ...

    async def aclose(self) -> None:
        """Let go of the connections."""
        ...


class HttpSchemaRegistry:
    """The registry at one address, or at several that know the same: the next is asked when one fails."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._settings = settings
        self._has_answered = False
        credentials = settings.username, settings.password.get_secret_value()
        token = settings.token.get_secret_value()
        self._client = httpx.AsyncClient(
            auth=credentials if settings.username else None,
            headers={"authorization": f"Bearer {token}"} if token else {},
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
            verify=_tls_context(settings),
        )

    async def schema(self, schema_id: SchemaId) -> RegisteredSchema | None:
        """Return the schema with all that it refers to; see `SchemaRegistry`."""
        path = f"/schemas/ids/{schema_id}" if isinstance(schema_id, int) else f"/schemas/guids/{schema_id}"
        answer = await self._get(path)
        if answer is None:
            return None
        references: dict[str, str] = {}
        await self._follow(answer, references, ())
        return RegisteredSchema(str(answer.get("schemaType", "AVRO")), _text(answer), references)

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def _follow(self, answer: Object, references: dict[str, str], above: tuple[str, ...]) -> None:
        """Put what a schema refers to into `references`, what it needs first."""
        for name, path in _references(answer):
            if name in references or name in above:
                continue
            if len(references) + len(above) >= MAX_REFERENCES:
                raise WireError("schema.invalid", f"it refers to more than {MAX_REFERENCES} other schemas")
            referred = await self._get(path)
            if referred is None:
                raise WireError("schema.invalid", f"it refers to {name!r}, which the registry does not have")
            await self._follow(referred, references, (*above, name))
            references[name] = _text(referred)

    async def _get(self, path: str) -> Object | None:
        """Return what one of the addresses answers; None for what it does not have."""
        for address in self._settings.addresses:
            try:
                return await self._ask(address, path)
            except TransientError as error:
                pause = error
            except httpx.HTTPError as error:
                reason = str(error) or type(error).__name__
                kind = "certificate" if "CERTIFICATE" in reason else "away"
                pause = _pause(kind, f"{address} does not answer: {reason}")
            if address != self._settings.addresses[-1]:
                log.warning("registry.failed", address=address, reason=str(pause))
        raise pause

    async def _ask(self, address: str, path: str) -> Object | None:
        async with self._client.stream("GET", address + path) as response:
            body = await _body(response)
        answer, status = _object(body), response.status_code
        if status == NOT_FOUND:
            if "error_code" in answer or self._has_answered or await self._is_registry(address):
                return None
            raise _pause("address", f"{address} answers 404 to everything: it is none")
        if status in REFUSED:
            raise _pause("credentials", f"{address} refuses us ({status})")
        if not response.is_success or "schema" not in answer:
            said = body[:100].decode(errors="replace")
            raise _pause("failing", f"{address} answers {status} and no schema: {said!r}")
        self._has_answered = True
        return answer

    async def _is_registry(self, address: str) -> bool:
        """Whether there is a registry at all: its list of subjects is, whatever it says."""
        async with self._client.stream("GET", f"{address}/subjects") as response:
            return response.status_code != NOT_FOUND


def _pause(kind: str, what: str) -> TransientError:
    """Return the error for a registry that gives no schema now."""
    return TransientError(f"the schema registry at {what}", cause=f"schema-registry.{kind}", fix=FIXES[kind])


def _tls_context(settings: RegistrySettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:  # a missing file, or one that is no certificate
        raise ConfigurationError(f"registry.ca_file: {settings.ca_file} cannot be used: {error}") from error


async def _body(response: httpx.Response) -> bytes:
    """Return the whole body, unless it is too large for a schema."""
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > MAX_SCHEMA_BYTES:
            raise WireError("schema.invalid", f"it is larger than {MAX_SCHEMA_BYTES} bytes")
    return bytes(body)


def _object(body: bytes) -> Object:
    try:
        tree = parse(body)
    except WireError:
        return {}
    return tree if type(tree) is dict else {}


def _text(answer: Object) -> str:
    text = answer["schema"]
    if type(text) is not str:
        raise WireError("schema.invalid", "the registry gives no text for it")
    return text


def _references(answer: Object) -> Iterator[tuple[str, str]]:
    """Yield the name and the path of each schema that one refers to."""
    references: Any = answer.get("references") or ()  # Any: JSON
    try:
        for reference in references:
            subject = quote(str(reference["subject"]), safe="")
            yield str(reference["name"]), f"/subjects/{subject}/versions/{int(reference['version'])}"
    except (TypeError, ValueError, LookupError) as error:
        raise WireError("schema.invalid", "its references are not what a registry gives") from error
