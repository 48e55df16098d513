"""Configuration: flags over environment (`HEADRACE_...`) over a TOML file over defaults.

A worker's own section lives in its `settings.py`, in a subclass of `Settings`. Nested names take a
double underscore: `HEADRACE_SEARCH__PORT=9000`, or in `headrace.toml` `[search]`, `port = 9000`.
"""

import os
import socket
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from schemas.base import GenerationName
from shared.errors import ConfigurationError

Port = Annotated[int, Field(ge=0, le=65535)]
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def environment() -> dict[str, str]:
    """Return the environment of this process, to choose servers by and to hand to child processes."""
    return dict(os.environ)


def use_file(path: Path) -> None:
    """Read settings from this TOML file from now on, in this process and in those that it starts."""
    os.environ["HEADRACE_CONFIG"] = str(path.resolve())


class Section(BaseModel):
    """A group of settings; a name that does not exist is an error, not a shrug."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    threads: Annotated[int, Field(ge=0)] = 0
    """Forward passes at once on a CPU, a thread each; 0: as many as there are cores."""


class Settings(BaseSettings):
    """What every worker needs; each worker adds its own section."""

    model_config = SettingsConfigDict(
        env_prefix="HEADRACE_", env_nested_delimiter="__", env_ignore_empty=True, frozen=True, extra="ignore"
    )

    kafka: str = "127.0.0.1:9092"
    """Bootstrap servers, separated by commas."""
    kafka_security: KafkaSecurity = KafkaSecurity()
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
    log: LogSettings = LogSettings()
    model: ModelSettings = ModelSettings()

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
        file = Path(os.environ.get("HEADRACE_CONFIG", "headrace.toml"))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=file)

    @classmethod
    def load(cls, **flags: Any) -> Self:  # Any: flags are checked by the model
        """Read the configuration; raises `ConfigurationError` that says which setting is wrong and why."""
        try:
            return cls(**{name: value for name, value in flags.items() if value is not None})
        except ValidationError as error:
            faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
            raise ConfigurationError("configuration: " + "; ".join(faults)) from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"configuration file is not TOML: {error}") from error
