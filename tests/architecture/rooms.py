"""`python -m tests.architecture.rooms [TREE] [FOLDER...]`: rooms, arrows between them, and circles.

A room is what lies directly in a folder: a module, or a package with all that is in it. An arrow says that
one room imports another. Run it before and after a change of structure.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.syntax import syntax

FOLDERS = (
    "schemas",
    "shared",
    "services",
    "services/cli",
    "services/lab",
    "services/monitor",
    "services/trainer",
)


def imported(path: Path) -> Iterator[str]:
    """Give the dotted name of everything that a file imports, wherever in it."""
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows(tree: Path, folder: str) -> tuple[set[str], dict[str, set[str]]]:
    """Return the rooms of a folder, and for each room those that it imports."""
    prefix = folder.replace("/", ".") + "."
    files = [path for path in (tree / folder).rglob("*.py") if "__pycache__" not in path.parts]
    rooms = {path.relative_to(tree / folder).parts[0].removesuffix(".py") for path in files} - {"__init__"}
    leads: dict[str, set[str]] = defaultdict(set)
    for path in files:
        room = path.relative_to(tree / folder).parts[0].removesuffix(".py")
        for name in imported(path):
            if name.startswith(prefix):
                other = name.removeprefix(prefix).partition(".")[0]
                if other in rooms and other != room and room in rooms:
                    leads[room].add(other)
    return rooms, leads


def circles(leads: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Return the pairs of rooms that reach each other."""
    reach = {room: set(others) for room, others in leads.items()}
    for _ in reach:
        for others in reach.values():
            others |= {far for other in others for far in reach.get(other, ())}
    return [(one, two) for one in reach for two in reach[one] if one < two and one in reach.get(two, ())]


def main(tree: Path, folders: tuple[str, ...]) -> None:
    """Print the table."""
    print(f"{'folder':20} {'files flat':>10} {'rooms':>6} {'arrows':>7} {'circles':>8}")
    for folder in folders:
        if not (tree / folder).is_dir():
            continue
        rooms, leads = arrows(tree, folder)
        flat = sum(path.name != "__init__.py" for path in (tree / folder).glob("*.py"))
        drawn = sum(map(len, leads.values()))
        print(f"{folder:20} {flat:>10} {len(rooms):>6} {drawn:>7} {len(circles(leads)):>8}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."), tuple(sys.argv[2:]) or FOLDERS)
