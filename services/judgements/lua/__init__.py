"""The atomic steps on one hash tag, as Lua scripts that Redis or Valkey runs.

Each begins with `guard.lua`: it refuses a writer whose epoch is old (FENCED) and a state that is gone or
went back (LOST), and recognises a batch that it has applied already.
"""

from pathlib import Path


def source(name: str, *, guarded: bool = True) -> str:
    """Return the text of a script, with its guard in front."""
    folder = Path(__file__).parent
    text = (folder / f"{name}.lua").read_text(encoding="utf-8")
    return (folder / "guard.lua").read_text(encoding="utf-8") + text if guarded else text
