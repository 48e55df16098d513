"""The atomic steps on one hash tag, as Lua scripts that Redis or Valkey runs.

All begin with `tag.lua`, which says how a query is marked. Those of an owner go on with `guard.lua`: it
refuses a state that is gone (LOST), and `owner.lua` a writer whose epoch is old (FENCED).
"""

from pathlib import Path


def source(*names: str) -> str:
    """Return the text of a script: these parts, one after the other."""
    folder = Path(__file__).parent
    return "".join((folder / f"{name}.lua").read_text(encoding="utf-8") for name in names)
