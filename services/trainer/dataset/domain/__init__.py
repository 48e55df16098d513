"""From what was read to a data set, as pure functions of values."""
