"""Holds what readers are shown against what producers wrote: nothing missing, nothing older, nothing back.

Each field of a product has for its value the version that wrote it, so that what is shown tells which changes
it knows. The model beside it (`expected`) knows the changes and no more.
"""

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from schemas.catalogue import Operation

KINDS = ("missing", "older", "resurrected", "never written")


class State(NamedTuple):
    """A product as it is shown: of each field the version that wrote it; `written` is the whole write's."""

    written: int
    price: int
    stock: int
    title: int


FIELDS = State._fields


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a product; a patch names its `fields`."""

    product_id: str
    version: int
    op: Operation
    fields: Collection[str] = FIELDS


def expected(changes: Collection[Change]) -> State | None:
    """Return the product that these changes amount to, in whatever order; None: there is none."""
    whole = max((change for change in changes if change.op != "patch"), key=_version, default=None)
    if whole is None or whole.op == "delete":
        return None
    later = [change for change in changes if change.op == "patch" and change.version > whole.version]
    return State(*(_last(later, name, whole.version) for name in FIELDS))


class Checker:
    """Is told of every write before it is sent, and of every answer when it has come; from any thread."""

    def __init__(self) -> None:
        self.findings: dict[str, list[str]] = {kind: [] for kind in KINDS}
        self._changes: dict[str, list[Change]] = {}
        self._shown: dict[str, State] = {}
        """What was shown last of each product, also of those that are gone."""
        self._gone: dict[str, int] = {}
        """Of what was shown to be deleted: the first delete that explains it."""
        self._lock = threading.Lock()

    @property
    def products(self) -> int:
        """How many were written."""
        return len(self._changes)

    def write(self, change: Change) -> None:
        """Take note of what a producer is about to send, perhaps again."""
        with self._lock:
            self._changes.setdefault(change.product_id, []).append(change)

    def abort(self, change: Change) -> None:
        """Take note of what a producer is about to send in a transaction that it will abort."""
        with self._lock:
            self._changes.setdefault(change.product_id, [])

    def read(self, served: Mapping[str, State], claims: Callable[[str], bool]) -> None:
        """Judge an answer: what it shows, and of which products it claims to show all that there are."""
        with self._lock:
            for product_id in served.keys() & self._changes.keys():
                self._see(product_id, served[product_id])
            for product_id in self._shown.keys() - self._gone.keys() - served.keys():
                if claims(product_id):
                    self._miss(product_id)

    def settle(self, served: Mapping[str, State]) -> list[str]:
        """Say, once everything is read, what of all that is served is not what the changes amount to."""
        self.read(served, lambda _: True)
        with self._lock:
            truth = {product_id: expected(changes) for product_id, changes in self._changes.items()}
            for product_id in [product_id for product_id, state in truth.items() if state is None]:
                self._gone[product_id] = self._deleted(product_id)
            return [
                f"{product_id} is {served.get(product_id)}, its changes say {state}"
                for product_id, state in truth.items()
                if served.get(product_id) != state
            ]

    def _see(self, product_id: str, state: State) -> None:
        before = self._shown.get(product_id, state)
        deleted = self._gone.pop(product_id, -1)
        if state.written <= deleted:
            self._find("resurrected", product_id, f"{state} after the delete of version {deleted}")
        if any(now < then for now, then in zip(state, before, strict=True)):
            self._find("older", product_id, f"{state} after {before}")
        changes = self._changes[product_id]
        for name, version in zip(FIELDS, state, strict=True):
            if not any(change.version == version and _writes(change, name) for change in changes):
                self._find("never written", product_id, f"{name} of version {version}")
        self._shown[product_id] = State(*map(max, state, before))

    def _miss(self, product_id: str) -> None:
        """Take it for deleted, if there is a delete that may have come."""
        known = self._shown[product_id].written
        later = [
            change.version
            for change in self._changes[product_id]
            if change.op == "delete" and change.version > known
        ]
        if later:
            self._gone[product_id] = min(later)
        else:
            self._find("missing", product_id, f"was {self._shown[product_id]}")

    def _deleted(self, product_id: str) -> int:
        """Return the version of its last delete; -1: it was never written."""
        deletes = (change.version for change in self._changes[product_id] if change.op == "delete")
        return max(deletes, default=-1)

    def _find(self, kind: str, product_id: str, what: str) -> None:
        self.findings[kind].append(f"{product_id}: {what}")


def _writes(change: Change, name: str) -> bool:
    return change.op != "delete" and name in change.fields


def _version(change: Change) -> int:
    return change.version


def _last(patches: Collection[Change], name: str, before: int) -> int:
    return max((patch.version for patch in patches if name in patch.fields), default=before)
