"""Searches through a running installation, as somebody outside it."""

import time

import httpx

from shared.infrastructure.stack import Stack
from tests.connected.killing import until


def whole(stack: Stack) -> bool:
    """Search once; it must be answered, by every shard."""
    question = {"query": "shoe", "k": 3, "log": False, "timeout_ms": 20_000}
    answer = httpx.post(f"{stack.url('search')}/search", json=question, timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text
    assert not answer.json()["partial"], answer.text
    return True


def stays_whole(stack: Stack, seconds: float) -> bool:
    """Search for a while; every answer must be whole."""
    end = time.monotonic() + seconds
    until(lambda: whole(stack) and time.monotonic() > end)
    return True
