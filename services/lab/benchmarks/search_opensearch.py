"""OpenSearch beside ours: one node of its own, the same documents, vectors and filters, its own `hybrid`.

Words are a `match` on the title (BM25), vectors are `lucene`'s HNSW, and its normalization processor makes
one list of both (min-max, arithmetic mean). Query vectors are in the request, as they are when its user
embeds them; ours remembers them by their text.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import orjson
from rich.progress import Progress

from services.lab.benchmarks.search_engines import SHARES, K, Kind, post
from services.lab.benchmarks.search_material import IndexedProducts, Questions
from shared.errors import TransientError
from shared.infrastructure.process import Process, exchange, free_port
from shared.settings import environment

HOME = "OPENSEARCH_HOME"
READY = timedelta(seconds=90)
TIMEOUT_SECONDS = 120.0
BULK = 500
NEAREST = 100
"""Candidates by vector, as many as fusion gets there."""
INDEX, PIPELINE = "products", "hybrid"
HEADERS = {"Content-Type": "application/x-ndjson"}
TICKS = os.sysconf("SC_CLK_TCK")
FUSION = {
    "phase_results_processors": [
        {
            "normalization-processor": {
                "normalization": {"technique": "min_max"},
                "combination": {"technique": "arithmetic_mean", "parameters": {"weights": [0.5, 0.5]}},
            }
        }
    ]
}


def home() -> Path | None:
    """Return where OpenSearch is installed, as `OPENSEARCH_HOME` says; None: nowhere."""
    place = environment().get(HOME)
    return Path(place) if place else None


@contextmanager
def node(place: Path) -> Iterator["OpenSearch"]:
    """Give an empty node with a data directory of its own; it is stopped and removed afterwards.

    Raises `FatalError` with the end of its log when it does not start.
    """
    port, transport = free_port(), free_port()
    with TemporaryDirectory(prefix="headrace-opensearch-") as directory:
        settings = {
            "path.data": f"{directory}/data",
            "network.host": "127.0.0.1",
            "http.port": port,
            "transport.port": transport,
        }
        process = Process(
            [str(place / "bin" / "opensearch"), *[f"-E{name}={value}" for name, value in settings.items()]],
            log=Path(directory) / "log",
            environment=environment(),
        )
        question = b"GET /_cluster/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        process.start(
            lambda: b" 200 " in exchange(f"127.0.0.1:{port}", question)[:16], port=port, within=READY
        )
        try:
            with httpx.Client(
                base_url=f"http://127.0.0.1:{port}", timeout=TIMEOUT_SECONDS, trust_env=False
            ) as client:
                yield OpenSearch(process, port, client)
        finally:
            process.stop()


class OpenSearch:
    """A node that has the products, once it is filled."""

    whole = b'"timed_out":false'

    def __init__(self, process: Process, port: int, client: httpx.Client) -> None:
        self.address = ("127.0.0.1", port)
        self.questions: Questions
        self._process = process
        self._client = client

    def version(self) -> str:
        """Return its version."""
        return str(self._client.get("/").raise_for_status().json()["version"]["number"])

    def fill(self, products: IndexedProducts, questions: Questions, progress: Progress) -> None:
        """Make the index, write every product, and merge it into one segment, which is when it is fastest."""
        self.questions = questions
        self._put(f"/{INDEX}", mapping(products.vectors.shape[1]))
        self._put(f"/_search/pipeline/{PIPELINE}", FUSION)
        bar = progress.add_task("OpenSearch, written", total=len(products.ids))
        for start in range(0, len(products.ids), BULK):
            end = min(start + BULK, len(products.ids))
            answer = self._client.post("/_bulk", content=bulk(products, start, end), headers=HEADERS)
            if answer.is_error or answer.json()["errors"]:
                raise TransientError(f"OpenSearch refused products: {answer.text[:500]}")
            progress.update(bar, completed=end)
        self._client.post(f"/{INDEX}/_forcemerge?max_num_segments=1").raise_for_status()
        self._client.post(f"/{INDEX}/_refresh").raise_for_status()

    def _put(self, path: str, body: object) -> None:
        answer = self._client.put(path, json=body)
        if answer.is_error:
            raise TransientError(f"OpenSearch refused {path}: {answer.text[:500]}")

    def known(self, number: int, kind: Kind) -> bytes:
        """Return the request that asks the known text of that number, with its vector."""
        share = SHARES.get(kind)
        below = None if share is None else self.questions.cheaper[share]
        body = query(self.questions.known[number], self.questions.vectors[number], kind, below=below)
        path = f"/{INDEX}/_search" + ("" if kind in {"lexical", "dense"} else f"?search_pipeline={PIPELINE}")
        return post(self.address, path, body)

    def ids(self, request: bytes) -> list[str]:
        """Return the ids that a request of `known` finds."""
        head, _, body = request.partition(b"\r\n\r\n")
        path = head.split(b" ", 2)[1].decode()
        answer = self._client.post(path, content=body, headers={"Content-Type": "application/json"})
        return [hit["_id"] for hit in answer.raise_for_status().json()["hits"]["hits"]]

    def cpu(self) -> Mapping[str, float]:
        """Return the CPU-seconds of its process."""
        return {"OpenSearch": cpu_of(self._process.pid or 0)}


def cpu_of(pid: int) -> float:
    """Return the CPU-seconds that a process has used; see proc(5), `stat`."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def mapping(dimensions: int) -> dict[str, Any]:
    """Return settings and mappings of the index; Any: JSON."""
    method = {"name": "hnsw", "engine": "lucene", "space_type": "innerproduct"}
    vector = {"type": "knn_vector", "dimension": dimensions, "method": method}
    texts = {key: {"type": "text"} for key in ("title", "description", "bullets")}
    keywords = {key: {"type": "keyword"} for key in ("brand", "color", "category")}
    numbers = {key: {"type": "double"} for key in ("price", "rating", "rating_count", "stock")}
    return {
        "settings": {"index": {"knn": True, "number_of_shards": 1, "number_of_replicas": 0}},
        "mappings": {"properties": {"vector": vector, **texts, **keywords, **numbers}},
    }


def bulk(products: IndexedProducts, start: int, end: int) -> bytes:
    """Return a bulk request's body for the products of these rows."""
    lines = []
    for row in range(start, end):
        lines.append(orjson.dumps({"index": {"_index": INDEX, "_id": products.ids[row]}}))
        document = {**products.fields[row], "vector": products.vectors[row]}
        lines.append(orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY))
    return b"\n".join(lines) + b"\n"


def query(text: str, vector: Any, kind: Kind, *, below: float | None = None) -> dict[str, Any]:
    """Return a search's body; `vector` is a row of float32. Any: JSON, and arrays in it."""
    selected = None if below is None else {"range": {"price": {"lt": below}}}
    nearest: dict[str, Any] = {"vector": vector, "k": NEAREST}
    words: dict[str, Any] = {"match": {"title": text}}
    if selected is not None:
        nearest["filter"] = selected
        words = {"bool": {"must": [words], "filter": [selected]}}
    parts = {"lexical": words, "dense": {"knn": {"vector": nearest}}}
    asked = parts.get(kind) or {"hybrid": {"queries": list(parts.values())}}
    return {"size": K, "_source": {"excludes": ["vector"]}, "query": asked}
