"""A message with a key and a null value: the product is deleted.

Its version is its `version` header, else the place where it lies: it deletes what was appended before it.
Debezium writes one after each delete, with the same key struct; that one repeats what the `d` event said, and
is of a line of its own, which counts only where no event of Debezium's is known.
"""

from schemas.wire import connect
from schemas.wire.change import Draft, Envelope
from schemas.wire.source_block import metadata
from schemas.wire.stamps import TOMBSTONE


def read(envelope: Envelope) -> Draft:
    """Read a tombstone; the key is the product id, or a Connect key struct."""
    struct = connect.key_struct(envelope.key)
    if struct is not None:
        source = metadata({}, envelope).source or None
        return Draft("tombstone", connect.identity(struct), "delete", source=source, unversioned=TOMBSTONE)
    return Draft("tombstone", connect.key_identity(envelope.key), "delete")
