"""`GET /collector.js`: what a page includes."""

import gzip
from hashlib import sha256
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response


class PageScript:
    """The script as it is in the package, read once; a browser asks for it anew after an hour."""

    PATH = "/collector.js"

    def __init__(self) -> None:
        text = files(__package__).joinpath("collector.js").read_bytes()
        self._bodies = {"": text, "gzip": gzip.compress(text, mtime=0)}
        self._etag = sha256(text).hexdigest()[:16]

    async def get(self, request: Request) -> Response:
        """Return the script, or 304 to whoever has it."""
        encoding = "gzip" if "gzip" in request.headers.get("accept-encoding", "") else ""
        etag = f'"{self._etag}{"-gz" if encoding else ""}"'
        headers = {
            "ETag": etag,
            "Cache-Control": "public, max-age=3600",
            "Vary": "Accept-Encoding",
            "Access-Control-Allow-Origin": "*",  # anybody may have it: for `integrity` and `crossorigin`
            "Cross-Origin-Resource-Policy": "cross-origin",
            "X-Content-Type-Options": "nosniff",
        }
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if encoding:
            headers["Content-Encoding"] = encoding
        return Response(self._bodies[encoding], headers=headers, media_type="text/javascript")
