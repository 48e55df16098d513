"""The running trial of a generation, and which sessions take part in it: pure, and the same everywhere."""

from hashlib import blake2b
from typing import Literal

from schemas.base import GenerationName, Identifier, Timestamp, Value
from schemas.control import TrialEnd, TrialTerms

Arm = Literal["interleaved", "rest"]
"""Answered by both generations at once; by the live one alone, what the trial is held against."""

_HASHES = 2**64


class Trial(Value):
    """A candidate that is tried beside the live generation, as the answers on `rollout.v1` have it."""

    name: Identifier
    """The `request_id` of the request that asked for it; it salts every draw of the trial."""
    live: GenerationName
    """The live generation that it began against; with another one the trial says nothing."""
    candidate: GenerationName
    terms: TrialTerms
    began_at: Timestamp
    end: TrialEnd | None = None
    """None: it runs."""


def arm_of(trial: Trial, *, session_id: str | None, client_id: str | None) -> Arm | None:
    """Return the arm of a session; None: without a session or a client there is no trial.

    The session's id counts as it came, the client's only where there is none. It is hashed with the trial's
    name as the key, so that a session keeps its arm wherever and whenever it is asked for, and that two
    trials divide the same sessions independently of each other.
    """
    identity = session_id or client_id
    if not identity:
        return None
    salt = blake2b(trial.name.encode(), digest_size=32).digest()
    draw = int.from_bytes(blake2b(identity.encode(), key=salt, digest_size=8).digest()) / _HASHES
    return "interleaved" if draw < trial.terms.share else "rest"
