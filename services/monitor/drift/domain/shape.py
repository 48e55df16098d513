"""Step or slope: which of the two fits the last weeks' surprises better."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Shape = Literal["step", "slope"]
LEAST_RISE = 6
"""Windows that a slope takes at least; what is faster is a step."""
LONGEST = 672
"""Windows that are looked back on: four weeks of hours."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FittedShape:
    """The form of a signal's way up, and how many windows ago that began."""

    shape: Shape
    ago: int


def fit_shape(surprises: Floats) -> FittedShape:
    """Fit `level, then another level` and `level, then a rise`, each from its best moment on.

    Least squares over all moments; the newest surprise is the last one.
    """
    recent = surprises[-LONGEST:]
    size = len(recent)
    moments = np.arange(1, size)
    since = np.arange(size)[None, :] - moments[:, None]
    steps = (since >= 0).astype(float)
    rises = np.maximum(since + 1, 0).astype(float)
    step_gain, rise_gain = _gain(steps, recent), _gain(rises, recent)
    step, rise = int(np.argmax(step_gain)), int(np.argmax(rise_gain))
    length = size - moments[rise]
    if rise_gain[rise] > step_gain[step] and length >= LEAST_RISE:
        return FittedShape("slope", int(length))
    return FittedShape("step", int(size - moments[step]))


def _gain(shapes: Floats, surprises: Floats) -> Floats:
    """Return how much each row explains of the surprises, beside a constant, when it goes up."""
    centred = shapes - shapes.mean(axis=1, keepdims=True)
    along = centred @ (surprises - surprises.mean())
    gain: Floats = np.maximum(along, 0) ** 2 / np.maximum((centred**2).sum(axis=1), 1e-12)
    return gain
