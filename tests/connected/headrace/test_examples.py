"""What the docstrings and the pages show of the client is what happens, before a running installation."""

import doctest
import importlib
import pkgutil
import re
import sys
from pathlib import Path

import pytest

import headrace
from headrace import Client
from shared.infrastructure.stack import Stack
from tests.connected.killing import until
from tests.connected.newcomer import ROOT, Newcomer

pytestmark = pytest.mark.connected
OPTIONS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
MODULES = [f"headrace.{module.name}" for module in pkgutil.iter_modules(headrace.__path__)]


def test_every_example_holds(here: Stack) -> None:
    tried = failed = 0
    for name in MODULES:
        module = importlib.import_module(name)
        known = {**vars(module), "Client": Client}
        done = doctest.testmod(module, optionflags=OPTIONS, extraglobs=known)
        failed, tried = failed + done.failed, tried + done.attempted
    assert failed == 0
    assert tried >= 15


def block(page: str, heading: str) -> str:
    section = (ROOT / "docs" / page).read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    [text] = re.findall(r"```python\n(from headrace.*?)```", section, re.DOTALL)
    return text


def test_the_pages_show_what_happens(stack: Stack, tmp_path: Path) -> None:
    newcomer = Newcomer(stack, tmp_path)
    shown = newcomer.types(block("search-engineer.md", "From Python"), program=sys.executable)
    assert shown.split() == ["LAMP-1", "16"]
    judged = block("data-scientist.md", "Judgements")
    until(lambda: newcomer.types(judged, program=sys.executable) == "True\n")
