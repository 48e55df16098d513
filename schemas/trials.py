"""Trials of a generation on live sessions: what each session said, in the order in which it counts."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from schemas.base import Identifier, Message, Timestamp

Count = Annotated[int, Field(ge=0)]
Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class TrialSession(Message):
    """One session of a trial, once its window has closed. Of two of one session the first counts.

    The decision is a function of this log: of the sessions in its order, looked at after fixed numbers of
    them.
    """

    topic: ClassVar[str] = "trial.sessions.v1"

    trial: Identifier
    session: Identifier
    """Sixteen hexadecimal digits of a keyed hash."""
    client: str = ""
    """Likewise of the shopper; empty when unknown."""
    arm: Literal["interleaved", "rest"]
    began_at: Timestamp
    """When the broker appended its first answer."""
    answers: Count
    """Each page of one query counts."""
    drafted: Count = 0
    """Of the answers, those that were interleaved; an answer that one generation could not give was not."""
    score: Annotated[float, Field(ge=-1, le=1)] = 0.0
    """Above zero: what the candidate's team showed was acted upon more, by the objective."""
    acted: Count = 0
    """Actions that counted, of either team; a session without any was abandoned."""
    places: tuple[Count, Count] = (0, 0)
    """Places of the live generation's team and of the candidate's."""
    empty: tuple[Count, Count] = (0, 0)
    """Answers for which each generation found nothing."""
    took_ms: tuple[Milliseconds, Milliseconds] = (0.0, 0.0)
    """What the drafted answers took each generation, together."""

    def key(self) -> bytes:
        """Return trial and session."""
        return f"{self.trial}\t{self.session}".encode()
