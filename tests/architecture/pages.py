"""The pages that people read, and what can be looked up in them: links, code, commands."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")],
    key=lambda page: page.relative_to(ROOT).as_posix(),
)

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SECTION = re.compile(r"^##+ (?=.*$)", re.MULTILINE)
_SPAN = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def name(page: Path) -> str:
    """Return a page's path below the root."""
    return page.relative_to(ROOT).as_posix()


def prose(page: Path) -> str:
    """Return the page without its blocks of code."""
    return _FENCE.sub("", page.read_text("utf-8"))


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return (language, code) of each block."""
    return _FENCE.findall(page.read_text("utf-8"))


def typed(page: Path, heading: str) -> list[str]:
    """Return the code of the blocks of a section; without a heading, of what stands before the first."""
    return [code for language, code in _FENCE.findall(_sections(page)[heading]) if language]


def sections(page: Path) -> list[tuple[str, set[str]]]:
    """Return each section's heading and the languages of its blocks; before the first it is empty."""
    return [
        (heading, {language for language, _ in _FENCE.findall(text)})
        for heading, text in _sections(page).items()
    ]


def _sections(page: Path) -> dict[str, str]:
    before, *parts = _SECTION.split(page.read_text("utf-8"))
    return {"": before, **{part.partition("\n")[0]: part for part in parts}}


def spans(page: Path) -> list[str]:
    """Return the code within sentences, each on one line."""
    return [" ".join(span.split()) for span in _SPAN.findall(prose(page))]


def links(page: Path) -> list[str]:
    """Return the targets of links."""
    return _LINK.findall(_SPAN.sub("", prose(page)))


def anchors(page: Path) -> set[str]:
    """Return what a link may name on the page, as GitHub makes it from the headings."""
    headings = (re.sub(r"[`*]", "", heading).strip().lower() for heading in _HEADING.findall(prose(page)))
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading)) for heading in headings}


def commands(page: Path) -> list[str]:
    """Return every use of the `headrace` command, without comment."""
    shell = [line for language, code in blocks(page) if language == "sh" for line in code.splitlines()]
    uses = [use for text in (*spans(page), *shell) for use in re.split(r"&&|\||;", text.partition(" #")[0])]
    return [
        f"headrace {use.partition('headrace ')[2].strip()}"
        for use in uses
        if re.search(r"\bheadrace [a-z]", use)
    ]
