"""A worker small enough to test the supervision of workers with: `python -m tests.connected.dummy_worker`.

`/readyz` answers, `/crash/CODE` ends the process with that code, SIGTERM ends it cleanly.
"""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/crash/"):
            os._exit(int(self.path.removeprefix("/crash/")))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"status": "ready", "kafka": os.environ["HEADRACE_KAFKA"]}).encode())

    def log_message(self, *_: object) -> None:
        return


def end(*_: object) -> None:
    say("dummy.stopped")
    sys.exit(0)


def say(event: str) -> None:
    line = json.dumps({"event": event, "level": "info", "instance": os.environ["HEADRACE_INSTANCE"]})
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end)
    if os.environ.get("DUMMY_EXIT"):
        sys.exit(int(os.environ["DUMMY_EXIT"]))
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["HEADRACE_DUMMY__PORT"])), Handler)
    say("dummy.started")
    server.serve_forever()
