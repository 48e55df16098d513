"""Loops over arrays, compiled the first time that they run and kept beside their module.

They run without the interpreter's lock, so that searches in several threads do not wait for each other.
"""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function of arrays and numbers; it may call others that are compiled.

    What is compiled is kept beside the module, else in the user's cache or in `NUMBA_CACHE_DIR`, if one of
    them may be written to.
    """
    return _compiled(function)


def compiled_for(signature: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:  # Any: numba has no types
    """Compile a function for arguments of certain types alone, at once and not at its first call.

    So no request waits for it; arrays that are taken as read-only may be either.
    """
    return lambda function: _compiled(function, signature)


def _compiled(function: Callable[P, R], *signature: Any) -> Callable[P, R]:  # Any: numba has no types
    try:
        return cast("Callable[P, R]", njit(*signature, nogil=True, cache=True)(function))
    except RuntimeError:  # nowhere to keep it: it is compiled in every process
        return cast("Callable[P, R]", njit(*signature, nogil=True)(function))
