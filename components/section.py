"""The base class of the configuration's sections."""

from typing import Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"expected a number; given {str(value).lower()}")
    return value


NUMBER = BeforeValidator(_no_bool)  # for Literal[1, ...], which takes true for 1


class Section(BaseModel):
    """Frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
