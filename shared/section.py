"""A group of settings as a value; it reads nothing, so that decisions may hold one."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from shared.durations import read_duration


def _of_text(value: object) -> object:
    return read_duration(value) if isinstance(value, str) else value


Duration = Annotated[timedelta, BeforeValidator(_of_text)]
"""A span of time in the configuration, in any of the usual forms; a bare number of TOML is seconds."""


class Section(BaseModel):
    """A group of settings; a name that does not exist is an error, not a shrug."""

    model_config = ConfigDict(frozen=True, extra="forbid")
