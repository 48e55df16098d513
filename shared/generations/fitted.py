"""What was fitted with a generation's model, and when it is void."""

from collections.abc import Mapping
from typing import NamedTuple

from schemas.alerts import Alert
from schemas.control import Model
from shared.kafka.compacted import read_item

FITTED_ON = ("query-embeddings", "document-embeddings")
"""The drift of which makes void what was fitted with a model."""


class FittedParameters(NamedTuple):
    """What was fitted with a generation's model on this shop's queries; None: nothing was, or it is void."""

    dense_weight: float | None = None
    """Of vectors in hybrid search."""
    threshold: float | None = None
    """The similarity below which a product is not right."""


def fitted_parameters(
    model: Model | None, generation: str, alerts: Mapping[bytes, bytes]
) -> FittedParameters:
    """Return what is served with the model of a generation; `alerts` are the last of `alerts.v1`, by key.

    It is void while shoppers no longer ask, or the catalogue no longer has, what it was fitted on.
    """
    if model is None or _has_drifted(generation, alerts):
        return FittedParameters()
    return FittedParameters(model.dense_weight, model.threshold)


def _has_drifted(generation: str, alerts: Mapping[bytes, bytes]) -> bool:
    keys = (f"drift:{generation}:{signal}".encode() for signal in FITTED_ON)
    last_alerts = (read_item(Alert, alerts.get(key)) for key in keys)
    return any(alert is not None and alert.status != "resolved" for alert in last_alerts)
