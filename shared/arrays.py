"""Arrays as they pass from room to room; whoever needs none of them is spared NumPy."""

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""One row a text."""
