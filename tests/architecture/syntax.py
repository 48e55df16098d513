"""The syntax trees of our own files."""

import ast
import gc
from functools import cache
from pathlib import Path


@cache
def syntax(path: Path) -> ast.Module:
    """Parse a file with the collector of garbage at rest.

    A finalizer that warns formats a traceback, which parses too, and up to Python 3.12 one parse within
    another ends in `SystemError: AST constructor recursion depth mismatch` (CPython, gh-106905).
    """
    gc.disable()
    try:
        return ast.parse(path.read_text("utf-8"))
    finally:
        gc.enable()
