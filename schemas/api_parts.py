"""What requests and answers over HTTP have in common: which names they take, and that each is explained."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from schemas.base import Value


class RequestPart(BaseModel):
    """A part of a request; a name that does not exist is refused, one that was renamed with its new name."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    renamed: ClassVar[Mapping[str, str]] = {}
    """New names of fields, by the old ones."""

    @model_validator(mode="before")
    @classmethod
    def _has_no_old_name(cls, given: Any) -> Any:  # Any: pydantic judges the rest
        if isinstance(given, Mapping) and (old := sorted(cls.renamed.keys() & given.keys())):
            raise ValueError("; ".join(f"{name} is now {cls.renamed[name]}" for name in old))
        return given


class AnswerPart(Value):
    """A part of an answer."""

    model_config = ConfigDict(use_attribute_docstrings=True)
