"""A message with a key and a null value: the product is deleted.

Its version is its `version` header, else its record timestamp in milliseconds. Debezium writes one after
each delete, with the same key struct; that one repeats what the `d` event said with its log position, and
a timestamp is no log position, so it is read as a delete of version 0, which changes nothing.
"""

from schemas.wire import connect
from schemas.wire.change import Draft, Envelope, milliseconds


def read(envelope: Envelope) -> Draft:
    """Read a tombstone; the key is the product id, or a Connect key struct."""
    struct = connect.key_struct(envelope.key)
    if struct is not None:
        return Draft("tombstone", connect.identity(struct), "delete", version=0)
    version = None if "version" in envelope.headers else milliseconds(envelope.timestamp)
    return Draft("tombstone", connect.key_identity(envelope.key), "delete", version=version)
