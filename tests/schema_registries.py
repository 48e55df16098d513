"""Schema registries for tests: a small one in this process, and the real one of `REGISTRY_HOME`."""

import json
import os
import re
import uuid
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Thread
from urllib.parse import unquote, urlsplit

import httpx
import pytest

from shared.infrastructure.process import Process, free_port


class StandIn:
    """Confluent's API over a list of schemas; it can lose them, want credentials, and fail."""

    def __init__(self) -> None:
        self.schemas: list[dict[str, object]] = []
        self.asked: list[str] = []
        self.authorization: str | None = None
        self.status = 200
        self.body = b"{}"
        self.url = ""
        self._asking = Condition()

    def wants(self, username: str, password: str) -> None:
        """Refuse everybody else from now on."""
        self.authorization = "Basic " + b64encode(f"{username}:{password}".encode()).decode()

    def wait_for(self, questions: int) -> None:
        """Return when so many more were asked."""
        with self._asking:
            wanted = len(self.asked) + questions
            if not self._asking.wait_for(lambda: len(self.asked) >= wanted, timeout=60):
                raise TimeoutError(f"the registry was not asked {questions} times")

    def hear(self, path: str) -> None:
        """Note a question."""
        with self._asking:
            self.asked.append(path)
            self._asking.notify_all()

    def answer(self, path: str, sent: dict[str, object] | None) -> tuple[int, object]:
        """Return the status and the body for a request; `sent` is what was posted."""
        if match := re.fullmatch(r"/schemas/ids/(-?\d+)", path):
            return self._one("id", int(match[1]), 40403)
        if match := re.fullmatch(r"/schemas/guids/([0-9a-f-]+)", path):
            return self._one("guid", match[1], 40403)
        if match := re.fullmatch(r"/subjects/([^/]+)/versions/(\d+)", path):
            return self._one("place", (unquote(match[1]), int(match[2])), 40402)
        if match := re.fullmatch(r"/subjects/([^/]+)(/versions)?", path):
            return 200, self._add(unquote(match[1]), sent or {})
        return (200, []) if path == "/subjects" else (404, {})

    def _one(self, name: str, value: object, code: int) -> tuple[int, object]:
        for schema in self.schemas:
            if schema[name] == value:
                shown = ("schema", "schemaType", "references", "id", "guid")
                return 200, {key: schema[key] for key in shown if key in schema}
        return 404, {"error_code": code, "message": f"{value} not found"}

    def _add(self, subject: str, sent: dict[str, object]) -> dict[str, object]:
        known = [schema for schema in self.schemas if schema["subject"] == subject]
        for schema in known:
            if schema["schema"] == sent["schema"]:
                return schema
        number = len(self.schemas) + 1
        place = subject, len(known) + 1
        guid = str(uuid.uuid5(uuid.NAMESPACE_URL, str(number)))
        ids = {"subject": subject, "version": place[1], "place": place, "id": number, "guid": guid}
        self.schemas.append({**sent, **ids})
        return self.schemas[-1]


@contextmanager
def stand_in(port: int = 0, site: StandIn | None = None) -> Iterator[StandIn]:
    """Serve a stand-in (or the one given, again) on 127.0.0.1."""
    site = site or StandIn()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply(None)

        def do_POST(self) -> None:
            self._reply(json.loads(self.rfile.read(int(self.headers["content-length"]))))

        def _reply(self, sent: dict[str, object] | None) -> None:
            path = urlsplit(self.path).path
            site.hear(path)
            if site.authorization not in (None, self.headers["authorization"]):
                status, body = 401, b'{"error_code": 401, "message": "Unauthorized"}'
            elif site.status != 200:
                status, body = site.status, site.body
            else:
                status, tree = site.answer(path, sent)
                body = json.dumps(tree).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Apicurio:
    """The real registry, as a process; it forgets everything when it stops."""

    def __init__(self, folder: Path) -> None:
        home = os.environ.get("REGISTRY_HOME")
        if home is None:
            pytest.skip("REGISTRY_HOME names no schema registry")
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}/apis/ccompat/v7"
        command = [str(Path(home) / "bin" / "registry"), str(self._port)]
        self._process = Process(command, log=folder / "registry.log")

    def start(self) -> None:
        """Start it; returns when it answers."""
        self._process.start(lambda: is_up(self.url), port=self._port, within=timedelta(minutes=3))

    def stop(self) -> None:
        """Stop it."""
        self._process.stop()


def is_up(url: str) -> bool:
    """Whether a registry answers there."""
    try:
        return httpx.get(f"{url}/subjects", trust_env=False).is_success
    except httpx.HTTPError:
        return False


def register(url: str, subject: str, kind: str, text: str, **references: str) -> int:
    """Register a schema, which refers to the first version of other subjects by name; return its id."""
    named = [{"name": name, "subject": other, "version": 1} for name, other in references.items()]
    sent = {"schemaType": kind, "schema": text, "references": named}
    reply = httpx.post(f"{url}/subjects/{subject}/versions", json=sent, timeout=60, trust_env=False)
    number: int = reply.raise_for_status().json()["id"]
    return number
