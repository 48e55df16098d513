"""The steps on one hash tag, as Lua that Redis or Valkey runs.

All begin with `queue.lua`, which says how a query is marked as to be mined. Those of an owner run behind the
guard of `shared.state.fenced`; to mark a query, or to forget a mark, nobody needs to be an owner.
"""

from pathlib import Path


def steps(name: str) -> str:
    """Return the text of one step."""
    folder = Path(__file__).parent
    return "".join((folder / f"{part}.lua").read_text(encoding="utf-8") for part in ("queue", name))
