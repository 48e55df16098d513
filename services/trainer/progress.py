"""How whatever takes minutes tells how far it is."""

from collections.abc import Callable, Mapping

Progress = Callable[[str, float, Mapping[str, float]], None]
"""Called with a stage in a word, the share of the whole that is done, and figures by name."""
