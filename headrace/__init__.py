"""What a program that uses Headrace imports.

    from headrace import Client

    with Client() as shop:
        receipt = shop.upsert("SHOE-1", {"title": "Trail shoe", "price": 99.5})
        answer = shop.search("trail shoe", after=receipt)
        answer.click("SHOE-1")

`AsyncClient` is the same with `await`. Importing it is quick, and loads neither a model nor an index; what
speaks to the broker is loaded when something is first written or read there.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.answers import Answer, AsyncAnswer
    from headrace.asynchronous import AsyncClient
    from headrace.changes import WriteReceipt
    from headrace.client import Client
    from headrace.entries import Entry

__all__ = ["Answer", "AsyncAnswer", "AsyncClient", "Client", "Entry", "WriteReceipt"]
_HOMES = {
    "Answer": "headrace.answers",
    "AsyncAnswer": "headrace.answers",
    "AsyncClient": "headrace.asynchronous",
    "Client": "headrace.client",
    "Entry": "headrace.entries",
    "WriteReceipt": "headrace.changes",
}


def __getattr__(name: str) -> Any:  # Any: of several types
    """Import what is asked for, and no more."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - the package is imported by whoever wants a part

    return getattr(import_module(_HOMES[name]), name)
