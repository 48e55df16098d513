"""One realistic message of every type and version, as files: `<topic>.json`, the value on the wire.

A reader that cannot read its golden sample any more has broken its contract: make a new topic version.
"""

from importlib.resources import files

from schemas.topics import TopicSpec


def golden(topic: str) -> bytes:
    """Return the golden value of a topic (`index.records` for every generation's); `KeyError` without one."""
    file = files(__name__) / f"{topic}.json"
    if not file.is_file():
        raise KeyError(topic)
    return file.read_bytes()


def golden_of(topic: TopicSpec) -> bytes:
    """Return the golden value of a topic of the list."""
    return golden(topic.message.topic)
