"""The steps on one hash tag, as Lua that Redis or Valkey runs behind the guard of `shared.state.fenced`."""

from pathlib import Path


def steps(*names: str) -> str:
    """Return the text of these steps, one after the other."""
    folder = Path(__file__).parent
    return "".join((folder / f"{name}.lua").read_text(encoding="utf-8") for name in names)
