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
class Course:
    """How a signal went: its form, and how many windows ago that began."""

    shape: Shape
    ago: int


def course(surprises: Floats) -> Course:
    """Fit `level, then another level` and `level, then a rise`, each from its best moment on.

    Least squares over all moments; the newest surprise is the last one.
    """
    y = surprises[-LONGEST:]
    size = len(y)
    moments = np.arange(1, size)
    since = np.arange(size)[None, :] - moments[:, None]
    steps = (since >= 0).astype(float)
    rises = np.maximum(since + 1, 0).astype(float)
    step_gain, rise_gain = _gain(steps, y), _gain(rises, y)
    step, rise = int(np.argmax(step_gain)), int(np.argmax(rise_gain))
    length = size - moments[rise]
    if rise_gain[rise] > step_gain[step] and length >= LEAST_RISE:
        return Course("slope", int(length))
    return Course("step", int(size - moments[step]))


def _gain(shapes: Floats, y: Floats) -> Floats:
    """Return how much each row explains of `y`, beside a constant, when it goes up."""
    centred = shapes - shapes.mean(axis=1, keepdims=True)
    along = centred @ (y - y.mean())
    gain: Floats = np.maximum(along, 0) ** 2 / np.maximum((centred**2).sum(axis=1), 1e-12)
    return gain
