"""A Redis with TLS and a password: state is kept through it, and each reason not to get in has its words."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from redis import Redis as AdministratorClient

from shared.errors import TransientError
from shared.infrastructure.server import Server
from shared.settings import Settings
from shared.state.fenced import StateKeys
from shared.state.hash import RedisHash
from shared.state.redis import connect, transient
from tests.connected.secured import make_authority, make_certificate
from tests.connected.tls_endpoint import TlsEndpoint

pytestmark = pytest.mark.connected
SECRET = "a secret: 100%?"  # noqa: S105 - of this test
QUOTED = quote(SECRET, safe="")


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    return make_authority(tmp_path, "authority")


@pytest.fixture
def plain(own_valkey: Server) -> int:
    """Return the port of a Redis that wants a password, and speaks no TLS."""
    with AdministratorClient.from_url(own_valkey.address) as administrator:
        administrator.config_set("requirepass", SECRET)
    return urlsplit(own_valkey.address).port or 0


@pytest.fixture
def secured(plain: int, authority: Path) -> Iterator[int]:
    """Return the port at which the same Redis speaks TLS."""
    endpoint = TlsEndpoint(make_certificate(authority), plain)
    endpoint.start()
    yield endpoint.port
    endpoint.stop()


async def refusal(url: str) -> TransientError:
    """Return why a client does not get in."""
    redis = connect(Settings(redis=url))
    try:
        with pytest.raises(TransientError) as refused, transient():
            await redis.ping()
    finally:
        await redis.aclose()
    return refused.value


async def test_state_is_kept_through_tls_and_a_password(secured: int, authority: Path) -> None:
    redis = connect(Settings(redis=f"rediss://:{QUOTED}@localhost:{secured}/0?ssl_ca_certs={authority}"))
    state, keys = RedisHash(redis, "counts"), StateKeys("tls:{kept}:")
    held = await state.claim(keys)
    assert await state.add(held, {"seen": 1}, next_offset=1)
    assert await state.read(keys) == {"seen": "1"}
    await redis.aclose()


async def test_each_reason_not_to_get_in_has_its_own_words_and_its_way_out(
    secured: int, authority: Path, tmp_path: Path
) -> None:
    another = make_authority(tmp_path, "another")
    trusting = f"?ssl_ca_certs={authority}"
    causes = {
        f"rediss://:wrong@localhost:{secured}/0{trusting}": ("redis.credentials", "WRONGPASS"),
        f"rediss://localhost:{secured}/0{trusting}": ("redis.credentials", "NOAUTH"),
        f"rediss://:{QUOTED}@localhost:{secured}/0?ssl_ca_certs={another}": ("redis.certificate", "trusts"),
        f"rediss://:{QUOTED}@localhost:{secured}/0": ("redis.certificate", "ssl_ca_certs=FILE"),
        f"redis://:{QUOTED}@localhost:{secured}/0": ("redis.away", "rediss:// where it speaks TLS"),
    }
    for url, (cause, words) in causes.items():
        refused = await refusal(url)
        assert refused.cause == cause
        assert words in str(refused)
        assert "\n" not in str(refused)
        assert QUOTED not in str(refused)
