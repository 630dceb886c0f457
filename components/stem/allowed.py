"""Changes of a stem that a network's form does not allow: known before it is read, without Keras."""

from __future__ import annotations

from .checkpoint.examined import Examined
from .checkpoint.form import OTHERS, Form, form_of
from .errors import StemError
from .spec import StemSpec


def form_before_reading(backbone: str, found: Examined | None) -> Form | None:
    """The form of a source in PyTorch's form; None for the others.

    Args:
        backbone: one of BACKBONES.
        found: its file; None: random weights.
    """
    if found is not None and found.described is not None:
        return found.described.form
    return form_of(backbone) if backbone in OTHERS and not (found and found.own) else None


def check_allowed(spec: StemSpec, form: Form) -> None:
    """Raises StemError if `modify_stem` will refuse this change of this network."""
    old, deep = form.stem[0], len(form.stem) > 1
    if deep and spec.deep:
        raise StemError(f"This {form.backbone} has a deep stem already: leave deep out.")
    if spec.filters is None or spec.filters == old:
        return
    if form.basic and not deep:
        raise StemError(
            f"The number of filters of {form.backbone}'s stem cannot be changed, because its first block adds the "
            f"stem's output to its own (an identity shortcut). Leave filters at {old}, or use a ResNet of bottleneck "
            "blocks (ResNet26, ResNet50)."
        )
    if deep and spec.filters < old:
        raise StemError(
            f"A deep stem cannot get fewer filters than the {old} of its first convolution. Leave filters at {old}, or "
            "give more."
        )
