"""A group of settings as a value; it reads nothing, so that decisions may hold one."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A group of settings; a name that does not exist is an error, not a shrug."""

    model_config = ConfigDict(frozen=True, extra="forbid")
