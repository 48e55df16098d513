"""How much each client may send: a token bucket an address (RFC 2697's idea of a rate and a burst)."""

from collections import OrderedDict
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

IPV6_SITE = 64
"""Bits of an IPv6 address that a visitor does not choose: one has at least the rest for himself."""
MINUTE = timedelta(minutes=1)


class _Bucket(NamedTuple):
    left: float
    at: datetime


class Allowances:
    """The buckets of the clients that came last; one that is forgotten is full again."""

    def __init__(self, *, a_minute: int, clients: int) -> None:
        self._a_minute = a_minute
        self._clients = clients
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, client: str, units: int, *, now: datetime) -> timedelta:
        """Take so much of what a client may send, and return zero; or nothing, and return how long to wait.

        What is more than a minute's allowance is taken when the whole of it is there.
        """
        before = self._buckets.pop(client, _Bucket(self._a_minute, now))
        passed = max(now - before.at, timedelta()) / MINUTE
        left = min(self._a_minute, before.left + passed * self._a_minute)
        wanted = min(units, self._a_minute)
        enough = left >= wanted
        self._buckets[client] = _Bucket(left - wanted if enough else left, now)
        if len(self._buckets) > self._clients:
            self._buckets.popitem(last=False)
        return timedelta() if enough else MINUTE * ((wanted - left) / self._a_minute)


def client_of(address: str) -> str:
    """Return what stands for a client: its IPv4 address, or the site's 64 bits of its IPv6 address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    mapped = parsed.ipv4_mapped
    return str(mapped) if mapped else str(IPv6Address(int(parsed) >> IPV6_SITE << IPV6_SITE))
