"""Which keys of the configuration can be tuned, and the type of their values."""

from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from restem.trainer.config import TrainConfig
from restem.trainer.model_config import StemConfig

SECTIONS: dict[str, type[BaseModel]] = {"train": TrainConfig, "stem": StemConfig}
# Keys of `train` that are not listed here cannot be tuned: they do not change how well a network learns, or they are
# part of how it is judged.
TUNABLE = (
    *("batch_size", "optimizer", "optimizer_options", "clip_norm", "label_smoothing", "balance", "augment"),
    *("freeze_batch_norm", "head", "stem", "all"),
)
REASONS = {
    "train.seed": "a seed that is chosen by its result is luck, which does not repeat on new images",
    "train.metric": "trials are compared by one metric: set tune.metric",
}

Kind = Literal["int", "float", "other"]


def why_not(key: str) -> str | None:
    """Why a key that exists cannot be tuned, as a clause; None if it can."""
    if key in REASONS:
        return REASONS[key]
    section, _, rest = key.partition(".")
    if section not in SECTIONS:
        return "only keys of train and stem are tuned: the others change the data, the source or the judgement"
    if section == "train" and rest.partition(".")[0] not in TUNABLE:
        return f"of the section train, only {', '.join(TUNABLE)} are tuned"
    return None


def kind(key: str) -> Kind:
    """The type of a key's values: "int" and "float" can have a range, "other" needs choices.

    Raises:
      KeyError: there is no such key.
    """
    section, *parts = key.split(".")
    annotation: Any = SECTIONS[section]
    for part in parts:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            annotation = annotation.model_fields[part].annotation
        elif get_origin(annotation) is dict:
            annotation = get_args(annotation)[1]
        else:
            raise KeyError(key)
    types = _members(annotation)
    return "float" if float in types else "int" if int in types else "other"


def _members(annotation: Any) -> set[Any]:
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return set().union(*map(_members, get_args(annotation)))
    return {annotation}
