"""How long a trial is planned to be."""

from schemas.control import Model


def planned_sessions(asked: int | None, model: Model | None) -> int | None:
    """Return the interleaved sessions after which a trial of a generation with the model ends.

    What is asked for counts first, then what the verdict on the model advises; None: neither says any, and it
    goes on until it is decided, or too long.
    """
    return asked if asked is not None or model is None else model.trial_sessions
