"""Names of settings as people write them: one that does not exist is told, with the nearest that does."""

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

PREFIX = "HEADRACE_"
BESIDE_SETTINGS = frozenset({"config", "data"})
"""Variables that are none: the configuration file, and the data that tests and benchmarks read."""
RENAMED = {
    "search.last_stage": "search.reranker",
    "negatives.asked": "negatives.scored_positives",
    "negatives.together": "negatives.co_positive_limit",
    "trainer.terms.ground": "trainer.terms.evaluation_set",
}
"""Settings (or whole groups of them) that had another name, by the old one: refused, with the new one."""


SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT)(_\w+)?$|_PORT(_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?$")
"""What Kubernetes sets by itself where a service is called headrace-...; `_PORT` only with an address."""


def variable(setting: str) -> str:
    """Return the environment variable of a setting or a group of them."""
    return PREFIX + setting.replace(".", "__").upper()


def unknown(name: str, known: Collection[str]) -> str:
    """Return that there is no such name, and which was perhaps meant."""
    near = get_close_matches(name, known, n=1)
    return _told(name, near[0] if near else "")


def _told(name: str, meant: str) -> str:
    return f"{name} is no setting" + (f": did you mean {meant}?" if meant else " (`headrace config show`)")


def in_environment(variables: Mapping[str, str], known: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with the names of these variables; `known` are settings and sections."""
    for written in sorted(variables):
        if not written.upper().startswith(PREFIX) or _is_service_link(written, variables[written]):
            continue
        name = written.upper().removeprefix(PREFIX).lower()
        if (now := renamed(name.replace("__", "."))) is not None:
            yield f"{written} is now {variable(now)}"
        elif name.partition("__")[0] not in {*known, *BESIDE_SETTINGS}:
            yield _told(written, _meant(name, known))


def in_file(tables: Mapping[str, Any], file: Path, known: Collection[str]) -> Iterator[str]:  # Any: TOML
    """Yield what is wrong with the names in a configuration file."""
    for old, new in RENAMED.items():
        section: Any = tables  # Any: TOML
        for part in old.split("."):
            section = section.get(part) if isinstance(section, Mapping) else None
        if section is not None:
            yield f"{old} in {file} is now {new}"
    for name in tables:
        if name not in known:
            yield f"{file}: {unknown(name, known)}"


def renamed(name: str) -> str | None:
    """Return what a setting, or the group that it is in, is called now; None: it had no other name."""
    for old, new in RENAMED.items():
        if name == old or name.startswith(f"{old}."):
            return new + name.removeprefix(old)
    return None


def _meant(name: str, known: Collection[str]) -> str:
    """Return the variable that is perhaps meant, with its section and two underscores; empty: none is."""
    head, mark, rest = name.partition("__")
    for section in known:
        if not mark and name.startswith(f"{section}_"):
            return variable(f"{section}.{name.removeprefix(section)[1:]}")
    near = get_close_matches(head, known, n=1)
    return variable(near[0]) + (mark + rest).upper() if near else ""


def _is_service_link(name: str, value: str) -> bool:
    match = SERVICE_LINK.search(name)
    return match is not None and (match[0] != "_PORT" or value.startswith("tcp://"))
