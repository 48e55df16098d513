"""What the docstrings show of the client is what happens, before a running installation."""

import doctest
import importlib
import pkgutil

import pytest

import headrace
from headrace import Client
from shared.infrastructure.stack import Stack

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
