"""The engines that `bench search` asks: what a request looks like there, and what their processes use."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

import orjson

from services.lab.benchmarks.harness import Gauges
from services.lab.benchmarks.search_material import Questions
from shared.errors import ConfigurationError

Kind = Literal["hybrid", "lexical", "dense", "filtered 10 %", "filtered 1 %"]
SHARES: Mapping[Kind, float] = {"filtered 10 %": 0.1, "filtered 1 %": 0.01}
K = 10


class MeasuredEngine(Protocol):
    """Whoever answers the same questions."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        ...

    @property
    def whole(self) -> bytes:
        """What the body of a whole answer has in it."""
        ...

    def known(self, number: int, kind: Kind) -> bytes:
        """Return the request that asks the known text of that number."""
        ...

    def cpu(self) -> Mapping[str, float]:
        """Return the CPU-seconds that its processes have used so far, by process."""
        ...


def post(address: tuple[str, int], path: str, body: object, *, token: str = "") -> bytes:
    """Return a whole HTTP/1.1 request with that body in JSON (arrays of NumPy too)."""
    content = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    host, port = address
    permit = f"Authorization: Bearer {token}\r\n" if token else ""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{permit}"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def address_of(url: str) -> tuple[str, int]:
    """Return host and port of an `http://` URL; raises `ConfigurationError` for any other."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/"):
        raise ConfigurationError(f"{url!r} is no address such as http://127.0.0.1:8800; TLS is not measured")
    return parts.hostname, parts.port or 80


def search_body(text: str, kind: Kind = "hybrid", *, below: float | None = None) -> dict[str, Any]:
    """Return what the search API is asked; Any: JSON."""
    mode = kind if kind in {"lexical", "dense"} else "hybrid"
    body: dict[str, Any] = {"text": text, "k": K, "mode": mode}
    if below is not None:
        body["filters"] = [{"field": "price", "op": "range", "lt": below}]
    return body


class Headrace:
    """The installation that was started, by its search API."""

    whole = b'"partial":false'

    def __init__(self, url: str, gauges: Gauges, questions: Questions) -> None:
        self.address = address_of(url)
        self._gauges = gauges
        self._questions = questions

    def known(self, number: int, kind: Kind) -> bytes:
        """Return the request that asks the known text of that number."""
        below = self._questions.cheaper.get(SHARES.get(kind, 0.0))
        return post(self.address, "/search", search_body(self._questions.known[number], kind, below=below))

    def new(self) -> list[bytes]:
        """Return a request for each text that was never asked."""
        return [post(self.address, "/search", search_body(text)) for text in self._questions.new]

    def cpu(self) -> Mapping[str, float]:
        """Return the CPU-seconds of each worker and of Redis."""
        return self._gauges.now().cpu
