"""A worker of nothing: does what `SAMPLE` says, and tells its port and environment to whoever asks."""

import http.server
import json
import os
import signal
import sys


class Port(http.server.BaseHTTPRequestHandler):
    """`/readyz` answers as `SAMPLE` says."""

    def do_GET(self) -> None:
        ready = os.environ["SAMPLE"] == "ready"
        body = {"waiting": {"reasons": {"shards": "2 of 4", "model": "loading"}}, "odd": ["no", "object"]}
        self.send_response(200 if ready else 503)
        self.end_headers()
        self.wfile.write(json.dumps(body.get(os.environ["SAMPLE"], {})).encode())

    def log_message(self, *_: object) -> None:
        """Be quiet."""


def main() -> None:
    names = [name for name in os.environ if name.startswith("HEADRACE_")]
    print(json.dumps({name: os.environ[name] for name in names}), flush=True)  # noqa: T201 - its log
    if os.environ["SAMPLE"].isdigit():
        sys.exit(int(os.environ["SAMPLE"]))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    port = int(os.environ["HEADRACE_SEARCH__PORT"])
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Port).serve_forever()


if __name__ == "__main__":
    main()
