"""Products as they are shown: whole, with the revisions of their fields and where they lie."""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
from msgspec.structs import replace

from services.shards.part import parsed
from services.shards.view import ProductPlace, View
from shared.catalogue.documents import fields_of
from shared.catalogue.summaries import summaries


def shown(place: ProductPlace) -> dict[str, Any]:  # Any: JSON
    """Return a product as it is shown."""
    part, number = place
    state = part.state(number)
    details = state.read_details()
    fields = parsed(part.texts[number], state.attributes)
    topic, partition, offset = details.source
    vectors = np.ascontiguousarray(part.rows.vectors[part.rows.of(number)])
    return {
        "product_id": part.product_id(number),
        "fields": fields,
        "revisions": summaries(replace(details.document, fields=fields_of(fields))),
        "content_hash": details.content_hash,
        "vectors_sha256": hashlib.sha256(vectors.tobytes()).hexdigest(),
        "passages": [list(passage) for passage in details.passages],
        "source": {"topic": topic, "partition": partition, "offset": offset},
        "epoch": details.epoch,
        "event_time": details.event_time.isoformat(),
        "offset": place.offset,
    }


def dumped(view: View) -> Iterator[bytes]:
    """Yield every product that lives as a line of JSON, by product id."""
    places = sorted(view.places(), key=lambda place: bytes(place.part.ids[place.number]))
    for place in places:
        yield orjson.dumps(shown(place)) + b"\n"
