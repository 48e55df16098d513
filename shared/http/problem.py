"""Errors of an API as problem details (RFC 9457), each with a one-line fix."""

from collections.abc import Mapping, Sequence

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from prometheus_client import Counter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from schemas.search_api import PROBLEM_MEDIA_TYPE, PROBLEM_TYPE, Problem, RequestFault

SHOWN = 5
"""Faults of a request that `detail` names; `errors` has all."""
READ_THE_DESCRIPTION = "send what GET /openapi.json describes"
refused = Counter(
    "headrace_http_refused", "Requests that were refused, by the code of the problem", ("code",)
)


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

    def response(self, errors: Sequence[RequestFault] | None = None) -> Response:
        """Return the HTTP response; `errors` are the faults of a request that does not fit."""
        refused.labels(self.code).inc()
        problem = Problem(
            type=PROBLEM_TYPE + self.code,
            title=self.code,
            status=self.status,
            detail=str(self),
            fix=self.fix,
            errors=None if errors is None else tuple(errors),
        )
        return Response(problem.model_dump_json(), self.status, self.headers, PROBLEM_MEDIA_TYPE)


async def on_refusal(_: Request, error: Exception) -> Response:
    """Answer a refusal."""
    if not isinstance(error, Refusal):
        raise error
    return error.response()


async def on_http_error(_: Request, error: Exception) -> Response:
    """Answer what the framework itself refuses: no such path, no such method, a body that is no text."""
    if not isinstance(error, HTTPException):
        raise error
    refusal = Refusal(
        error.status_code,
        "request.refused",
        str(error.detail),
        fix=READ_THE_DESCRIPTION,
        headers=error.headers,  # of a method that there is not: which there are
    )
    return refusal.response()


async def on_invalid(_: Request, error: Exception) -> Response:
    """Answer a request that does not fit the model: every fault, and where."""
    if not isinstance(error, RequestValidationError):
        raise error
    faults = [
        RequestFault(
            where=".".join(str(part) for part in fault["loc"][1:]) or "body",
            what=fault["msg"].removeprefix("Value error, "),
        )
        for fault in error.errors()
    ]
    detail = "; ".join(f"{fault.where}: {fault.what}" for fault in faults[:SHOWN])
    return Refusal(422, "request.invalid", detail, fix=READ_THE_DESCRIPTION).response(faults)


async def on_failure(_: Request, error: Exception) -> Response:
    """Answer when the service itself is broken; the server logs the error after that."""
    refusal = Refusal(
        500,
        "internal",
        f"the service failed: {type(error).__name__}",
        fix="look for the error in the log of the worker",
    )
    return refusal.response()


def problems(api: FastAPI) -> None:
    """Have every error of the API answered as a problem."""
    api.add_exception_handler(Refusal, on_refusal)
    api.add_exception_handler(RequestValidationError, on_invalid)
    api.add_exception_handler(HTTPException, on_http_error)
    api.add_exception_handler(Exception, on_failure)
