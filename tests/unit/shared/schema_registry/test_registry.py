"""Registries that do not answer, or answer something else: the cause is said, and what to do."""

import json
import socket

import pytest
from pydantic import ValidationError

from schemas.wire.errors import WireError
from shared.errors import ConfigurationError, TransientError
from shared.infrastructure.process import free_port
from shared.schema_registry import registry as module
from shared.schema_registry.registry import HttpSchemaRegistry
from shared.settings import RegistrySettings, Settings
from tests.schema_registries import register, stand_in


@pytest.fixture
def site():
    with stand_in() as site:
        yield site


async def ask(schema_id=1, **settings):
    registry = HttpSchemaRegistry(RegistrySettings(**settings))
    try:
        return await registry.schema(schema_id)
    finally:
        await registry.aclose()


async def test_a_registry_that_is_away_is_named_and_the_next_address_is_asked(site):
    register(site.url, "s", "AVRO", '"string"')
    away = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(TransientError, match=f"{away} does not answer: .*onnect"):
        await ask(url=away)
    assert (await ask(url=f"{away}, {site.url}/")).text == '"string"'


async def test_of_several_that_fail_the_last_says_why(site):
    site.status = 503
    away = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(TransientError, match=f"{site.url} answers 503 and no schema") as paused:
        await ask(url=f"{away},{site.url}")
    assert paused.value.cause == "schema-registry.failing"


async def test_a_wrong_password_says_which_settings_to_look_at(site):
    register(site.url, "s", "AVRO", '"string"')
    site.wants("shop", "secret")
    with pytest.raises(TransientError, match=r"refuses us \(401\): set HEADRACE_REGISTRY__USERNAME"):
        await ask(url=site.url, username="shop", password="guess")  # noqa: S106 - of this test
    assert await ask(url=site.url, username="shop", password="secret")  # noqa: S106 - as above


async def test_a_token_is_a_bearers(site):
    register(site.url, "s", "AVRO", '"string"')
    site.authorization = "Bearer abc"
    assert await ask(url=site.url, token="abc")  # noqa: S106 - of this test


@pytest.mark.parametrize("status", [400, 403, 408, 422, 429, 500, 502, 503, 302])
async def test_any_answer_but_a_schema_or_404_is_waited_for(site, status):
    site.status = status
    with pytest.raises(TransientError, match=str(status)):
        await ask(url=site.url)


async def test_a_page_of_something_else_is_no_schema(site):
    site.status, site.body = 203, b"<html>Welcome to nginx</html>"
    with pytest.raises(TransientError, match="no schema: '<html>Welcome"):
        await ask(url=site.url)


async def test_an_address_that_answers_404_to_everything_is_no_registry(site):
    with pytest.raises(TransientError, match=r"404 to everything: it is none: set HEADRACE_REGISTRY__URL"):
        await ask(url=f"{site.url}/nowhere")


async def test_a_404_without_a_code_is_one_of_a_registry_that_has_given_schemas_or_has_subjects(site):
    assert await ask(9, url=site.url) is None
    site.status, site.body = 404, b""
    registry = HttpSchemaRegistry(RegistrySettings(url=site.url))
    with pytest.raises(TransientError):
        await registry.schema(9)
    site.status = 200
    register(site.url, "s", "AVRO", '"string"')
    await registry.schema(1)
    site.status = 404
    assert await registry.schema(9) is None
    await registry.aclose()


async def test_a_reference_that_is_not_there_makes_the_schema_unusable(site):
    schema_id = register(site.url, "s", "AVRO", '"a.B"', **{"a.B": "nobody"})
    with pytest.raises(WireError, match=r"schema\.invalid: it refers to 'a\.B', which the registry does not"):
        await ask(schema_id, url=site.url)


async def test_schemas_that_refer_to_each_other_end(site):
    first = register(site.url, "one", "AVRO", '"x"', two="two")
    register(site.url, "two", "AVRO", '"y"', one="one")
    schema = await ask(first, url=site.url)
    assert set(schema.references) == {"one", "two"}


async def test_a_schema_without_end_is_cut_off(site, monkeypatch):
    monkeypatch.setattr(module, "MAX_SCHEMA_BYTES", 10_000)
    schema_id = register(site.url, "s", "AVRO", json.dumps({"type": "string", "doc": "x" * 20_000}))
    with pytest.raises(WireError, match="larger than 10000 bytes"):
        await ask(schema_id, url=site.url)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"url": "registry:8081"}, "is no address: write https://HOST:PORT"),
        ({"url": "https://shop:secret@registry:8081"}, "credentials go into registry.username"),
        ({"url": "http://registry:8081", "username": "shop"}, "in the clear: use https"),
        ({"url": "http://registry:8081", "token": "abc"}, "in the clear: use https"),
        ({"url": "https://a", "patience": -1}, "greater than or equal"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings, fault):
    with pytest.raises(ValidationError, match=fault) as refused:
        RegistrySettings(**settings)
    assert "secret" not in refused.value.errors()[0]["msg"]


def test_a_file_that_is_no_authority_is_named(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ConfigurationError, match=r"registry\.ca_file: .*ca\.pem cannot be used"):
        HttpSchemaRegistry(RegistrySettings(url="https://a", ca_file=tmp_path / "ca.pem"))


def test_settings_come_from_the_environment_and_keep_the_password_to_themselves(monkeypatch):
    monkeypatch.setenv("HEADRACE_REGISTRY__URL", "https://one:8081/, https://two:8081")
    monkeypatch.setenv("HEADRACE_REGISTRY__PASSWORD", "open-sesame")
    settings = Settings.load()
    assert settings.registry.addresses == ("https://one:8081", "https://two:8081")
    assert "open-sesame" not in repr(settings)


async def test_a_registry_that_says_nothing_is_not_waited_for_long(monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(TransientError, match="does not answer: ReadTimeout"):
            await ask(url=url)
