"""A shape in well-known binary (OGC 06-103r4, and PostGIS's extension of it): the coordinates of a point."""

import struct

from schemas.wire.errors import WireError

_ORDERS = {1: "<", 0: ">"}
_POINT = 1
_HAS_REFERENCE_SYSTEM = 0x2000_0000
_FLAGS = 0xE000_0000


def point_of(data: bytes) -> dict[str, float]:
    """Return `x` and `y` of a point; raises `WireError` for any other shape."""
    order = _ORDERS.get(data[0]) if len(data) >= 21 else None
    if order is not None:
        (kind,) = struct.unpack_from(f"{order}I", data, 1)
        start = 9 if kind & _HAS_REFERENCE_SYSTEM else 5
        if kind & ~_FLAGS == _POINT and len(data) >= start + 16:
            x, y = struct.unpack_from(f"{order}2d", data, start)
            return {"x": x, "y": y}
    raise WireError("field.unsupported", "it is a shape, and not a point: search has no use for that")
