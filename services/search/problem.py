"""Errors of the API as problem details (RFC 9457), each with a one-line fix."""

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


class Refusal(Exception):  # noqa: N818  it is the answer, not a failure
    """A request that cannot be answered: status, stable code, what is wrong, what to do."""

    def __init__(
        self, status: int, code: str, detail: str, *, fix: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.fix = fix
        self.headers = dict(headers or {})

    def response(self, **more: Any) -> Response:  # Any: JSON
        """Return the HTTP response; `more` are further members of the problem."""
        body = {
            "type": f"urn:headrace:problem:{self.code}",
            "title": self.code,
            "status": self.status,
            "detail": str(self),
            "fix": self.fix,
            **more,
        }
        return Response(orjson.dumps(body), self.status, self.headers, MEDIA_TYPE)


async def on_refusal(_: Request, error: Exception) -> Response:
    """Answer a refusal."""
    if not isinstance(error, Refusal):
        raise error
    return error.response()


async def on_http_error(_: Request, error: Exception) -> Response:
    """Answer what the framework itself refuses: no such path, no such method, a body that is not JSON."""
    if not isinstance(error, HTTPException):
        raise error
    refusal = Refusal(
        error.status_code, "request.refused", str(error.detail), fix="send what GET /openapi.json describes"
    )
    return refusal.response()


async def on_invalid(_: Request, error: Exception) -> Response:
    """Answer a request that does not fit the model: every fault, and where."""
    if not isinstance(error, RequestValidationError):
        raise error
    faults = [
        {"where": ".".join(str(part) for part in fault["loc"][1:]) or "body", "what": fault["msg"]}
        for fault in error.errors()
    ]
    detail = "; ".join(f"{fault['where']}: {fault['what']}" for fault in faults[:5])
    return Refusal(422, "request.invalid", detail, fix="send what GET /openapi.json describes").response(
        errors=faults
    )
