"""The parts that scripts on fenced state are composed of; each says what it promises."""

from pathlib import Path


def part(name: str) -> str:
    """Return the text of one part."""
    return (Path(__file__).parent / f"{name}.lua").read_text(encoding="utf-8")


def parts(*names: str) -> str:
    """Return several parts, one after the other."""
    return "".join(part(name) for name in names)
