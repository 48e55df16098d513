"""Configuration: flags over environment (`HEADRACE_...`) over a TOML file over defaults.

A worker's own section lives in its `settings.py`, in a subclass of `Settings`. Nested names take a
double underscore: `HEADRACE_SEARCH__PORT=9000`, or in `headrace.toml` `[search]`, `port = 9000`.
"""

import os
import re
import socket
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from schemas.base import GenerationName
from shared import setting_names as names
from shared.errors import ConfigurationError
from shared.section import Duration, Section

WORKER_SECTIONS = (
    "shards",
    "embedder",
    "search",
    "judgements",
    "rollout",
    "monitor",
    "negatives",
    "trainer",
    "collector",
    "dataset",
)
"""What the workers add: a name that only another worker knows is no mistake."""
Port = Annotated[int, Field(ge=0, le=65535)]
LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def environment() -> dict[str, str]:
    """Return the environment of this process, to choose servers by and to hand to child processes."""
    return dict(os.environ)


def cache_directory() -> Path:
    """Return where this machine's users keep what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "headrace"


def use_file(path: Path) -> None:
    """Read settings from this TOML file from now on, in this process and in those that it starts."""
    os.environ["HEADRACE_CONFIG"] = str(path.resolve())


class KafkaSecurity(Section):
    """How to reach a protected broker. SASL is refused without TLS."""

    tls: bool = False
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = ""
    username: str = ""
    password: SecretStr = SecretStr("")

    @model_validator(mode="after")
    def _sasl_needs_tls(self) -> Self:
        if self.sasl_mechanism and not self.tls:
            raise ValueError("SASL without TLS would send the password in the clear: set tls = true")
        return self


class RegistrySettings(Section):
    """The schema registry that explains Avro, Protobuf and JSON with a schema id; Confluent's API."""

    url: str = ""
    """Where it is, or several addresses of one registry, separated by commas; empty: there is none."""
    username: str = ""
    password: SecretStr = SecretStr("")
    token: SecretStr = SecretStr("")
    """A bearer token, instead of a user."""
    ca_file: Path | None = None
    patience: Annotated[Duration, Field(ge=timedelta())] = timedelta(minutes=10)
    """How long at most a schema id is waited for that the registry does not know."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses, without a slash at the end."""
        return tuple(url.strip().rstrip("/") for url in self.url.split(",") if url.strip())

    @model_validator(mode="after")
    def _addresses_are_safe(self) -> Self:
        secret = self.username or self.token.get_secret_value()
        for parts in map(urlsplit, self.addresses):
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"{parts.geturl()!r} is no address: write https://HOST:PORT")
            if parts.username is not None:
                raise ValueError("credentials go into registry.username and registry.password, not the url")
            if secret and parts.scheme == "http" and parts.hostname not in LOOPBACK:
                raise ValueError("credentials would be sent in the clear: use https")
        return self


class ClusterSettings(Section):
    """What the workers of one installation share, to know each other by."""

    secret: Annotated[SecretStr, Field(min_length=16)] = SecretStr("")
    """Search and tools show it to the shards, which answer nobody else. Empty: whoever reaches the port of a
    shard reads the index. `headrace up` makes one by itself."""

    @property
    def tokens(self) -> tuple[SecretStr, ...]:
        """The bearer tokens that open the shards' port; none: it is open."""
        return (self.secret,) if self.secret.get_secret_value() else ()

    @property
    def headers(self) -> dict[str, str]:
        """The headers that a request to a shard carries."""
        secret = self.secret.get_secret_value()
        return {"Authorization": f"Bearer {secret}"} if secret else {}


class HttpSettings(Section):
    """What connections to a worker's port may cost."""

    connections: Annotated[int, Field(ge=8, le=100_000)] = 1000
    """Open at once, and at most half of the files that the process may open; for one more the longest idle
    one is closed, of the address that has most."""
    per_client: Annotated[int, Field(ge=0, le=100_000)] = 256
    """Of them at most so many of one address; 0: as many as there may be."""
    request_within: Annotated[Duration, Field(gt=timedelta())] = timedelta(seconds=10)
    """So long the head of a request may take to come, from when the connection is made or goes on; and so
    long whoever asked may read nothing of an answer."""


class LogSettings(Section):
    """What is logged, and how it looks."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


class ModelSettings(Section):
    """Which embedding model, and how it runs."""

    path: Path | None = None
    """A sentence-transformers directory with safetensors weights; absent: the packaged MiniLM."""
    query_prompt: str = ""
    document_prompt: str = ""
    max_tokens: Annotated[int, Field(ge=8, le=8192)] = 256
    token_budget: Annotated[int, Field(ge=0)] = 0
    """Tokens (padding counted) in one forward pass; 0: what suits the device."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    runtime: Literal["auto", "torch", "ctranslate2", "onnx"] = "auto"
    """What runs the model. They give the same vectors, which is made sure of; auto: on a CPU the one that is
    measured to be quickest there, on a GPU torch."""
    precision: Literal["auto", "fp32", "bf16", "int8"] = "auto"
    """bf16 gives nearly the vectors of fp32 (auto takes it where the hardware multiplies it). int8 gives
    others: a model in int8 has a fingerprint of its own, for queries and documents alike."""
    cache: Path = Field(default_factory=cache_directory)
    """Where models are kept that were converted for a runtime. Workers of a machine share it; anybody may
    delete it at any time."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Forward passes at once on a CPU, a thread each; 0: as many as there are cores."""


class GenerationSettings(Section):
    """How index generations that fail are tried again."""

    patience: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(days=7))] = timedelta(minutes=10)
    """How long, from the first failure on, one that may come back is tried again before it is given up: a
    share that holds its model may be mounted late. A model that is refused is given up at once."""


class CatalogueSettings(Section):
    """What the sources of the catalogue write."""

    sources: Mapping[str, Literal["product", "part"]] = {}
    """What the rows of a table are, by its name (`prices`, `public.prices`, `shop.public.prices`): a product,
    or a part of one that another table writes. A part neither creates nor deletes a product."""

    numbers: tuple[str, ...] = ("price",)
    """Attributes that should have numbers: a text in one of them is told on `catalogue.findings.v1`."""

    @property
    def parts(self) -> frozenset[str]:
        """The tables whose rows are a part of a product."""
        return frozenset(name for name, role in self.sources.items() if role == "part")


class Settings(BaseSettings):
    """What every worker needs; each worker adds its own section."""

    model_config = SettingsConfigDict(
        env_prefix=names.PREFIX, env_nested_delimiter="__", env_ignore_empty=True, frozen=True, extra="ignore"
    )

    kafka: str = "127.0.0.1:9092"
    """Bootstrap servers, separated by commas."""
    kafka_embedded: bool = False
    """The broker is the embedded one, which answers empty fetches at once (`headrace up` sets it)."""
    kafka_cluster: str = ""
    """The cluster's identity, if the broker does not have one of its own (`headrace up` sets it for the
    embedded one, whose every copy says the same)."""
    kafka_security: KafkaSecurity = KafkaSecurity()
    registry: RegistrySettings = RegistrySettings()
    catalogue: CatalogueSettings = CatalogueSettings()
    redis: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """URL of a Redis or Valkey; `redis+cluster://` for a cluster."""
    namespace: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")] = "headrace"
    """First part of every Redis key and of every consumer group."""
    topic_prefix: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{0,64}$")] = ""
    partitions: Annotated[int, Field(ge=1, le=1024)] = 4
    """Partitions of the hot topics; those of `index.records` are the shards."""
    replication: Annotated[int, Field(ge=1, le=7)] = 1
    generation: GenerationName = "g1"
    """The index generation to write and to answer from."""
    instance: str = ""
    """Name of this worker among its kind; empty: host name and process id."""
    data_dir: Path = Path(".headrace")
    host: str = "127.0.0.1"
    """Address that servers bind to."""
    advertise: str = ""
    """Host by which other machines reach this worker; empty: `host`, or this machine's own address when
    `host` is every address."""
    reach: str = ""
    """Host by which the commands reach a worker, `{worker}` standing for its name; empty: `host`, or this
    machine when `host` is every address."""
    cluster: ClusterSettings = ClusterSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    model: ModelSettings = ModelSettings()
    generations: GenerationSettings = GenerationSettings()

    @property
    def member(self) -> str:
        """The name of this process among the workers of its kind."""
        return self.instance or f"{socket.gethostname()}-{os.getpid()}"

    def url(self, worker: str, port: int) -> str:
        """Return where the commands reach a worker that listens on `port`."""
        host = self.reach.replace("{worker}", worker)
        host = host or ("127.0.0.1" if self.host in EVERYWHERE else self.host)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @classmethod
    def settings_customise_sources(  # noqa: PLR0917 - pydantic-settings names the arguments
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic-settings names it
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put flags before the environment before the TOML file."""
        toml = TomlConfigSettingsSource(settings_cls, toml_file=_file())
        return init_settings, env_settings, toml

    @classmethod
    def load(cls, **flags: Any) -> Self:  # Any: flags are checked by the model
        """Read the configuration; raises `ConfigurationError` that says which setting is wrong and why."""
        try:
            _refuse_names()
            return cls(**{name: value for name, value in flags.items() if value is not None})
        except ValidationError as error:
            faults = [_in_words(cls, fault) for fault in error.errors()]
            raise ConfigurationError("configuration: " + "; ".join(faults)) from error
        except SettingsError as error:
            raise ConfigurationError(_not_json(error)) from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"configuration file is not TOML: {error}") from error


def _file() -> Path:
    return Path(os.environ.get("HEADRACE_CONFIG", "headrace.toml"))


def _refuse_names() -> None:
    """Refuse what is no setting of any worker, or had another name: it would be ignored in silence."""
    file = _file()
    tables = tomllib.loads(file.read_text("utf-8")) if file.is_file() else {}
    known = frozenset({*Settings.model_fields, *WORKER_SECTIONS})
    faults = [*names.in_environment(os.environ, known), *names.in_file(tables, file, known)]
    if faults:
        raise ConfigurationError("configuration: " + "; ".join(faults))


def _in_words(kind: type[BaseModel], fault: ErrorDetails) -> str:
    name = ".".join(map(str, fault["loc"]))
    if (now := names.renamed(name)) is not None:
        return f"{name} is now {now}"
    if fault["type"] != "extra_forbidden":
        return f"{name}: {fault['msg'].removeprefix('Value error, ')}"
    section: Any = kind  # Any: an annotation
    for part in fault["loc"][:-1]:
        section = getattr(section, "model_fields", {}).get(part)
        section = getattr(section, "annotation", None)
    siblings = [name.rpartition(".")[0] + f".{field}" for field in getattr(section, "model_fields", {})]
    return names.unknown(name, siblings)


def _not_json(error: SettingsError) -> str:
    """Say of which variable or file the value cannot be read; pydantic names only the section."""
    quoted = re.search(r'field "(\w+)"', str(error))
    section = quoted[1] if quoted else ""
    variables = sorted(name for name in os.environ if name.upper().startswith(names.variable(section)))
    return (
        f"configuration: a value of {section} is not JSON, which lists and tables are written in: "
        f"{', '.join(variables)}"
    )
