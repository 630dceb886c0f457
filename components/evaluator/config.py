"""The configuration section for the comparison."""

from typing import Literal

from pydantic import Field

from restem.evaluator.requirement import Requirement
from restem.evaluator.terms import ENOUGH_IMAGES
from restem.section import Section

STOCK, LATEST_APPROVED = BASELINES = ("stock", "latest_approved")
DEFAULT_MARGIN = 0.02


class EvaluateConfig(Section):
    """What a candidate must reach on the test split to be approved."""

    min_accuracy: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Minimum of the candidate's measured accuracy. Short for {metric: accuracy, at_least: ...}.",
    )
    min_improvement: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Minimum of the candidate's measured accuracy minus the baseline's; a negative value allows a "
        "loss. Short for {metric: accuracy, at_least_above_baseline: ...}.",
    )
    baseline: str = Field(
        "stock",
        min_length=1,
        description="Model that the candidate has to beat. stock: the unchanged network, trained on the same images. "
        "latest_approved: the newest complete version under push.destination, or the stock network if there is none. "
        "Or the folder of a pushed model, or a folder of versions.",
    )
    slices: tuple[str | tuple[str, str], ...] = Field(
        (),
        description="What divides the test images into slices, one per value: columns of data.metadata, class, format "
        "(of the file) or image_size (of the shorter side, in steps of a factor of two); or pairs of these, as in "
        "[site, class]. The report shows both models' accuracy on each slice, those with fewer than "
        f"{ENOUGH_IMAGES} images in grey. Only requirements that name a slice judge it.",
    )
    calibrate: Literal["none", "temperature"] = Field(
        "none",
        description="temperature: one number, fitted on the validation images (data.val_share), by which candidate and "
        "baseline divide their logits, so that their probabilities are as high as their answers are often right. It is "
        "part of the exported model. The predicted classes stay the same.",
    )
    require: tuple[Requirement, ...] | None = Field(
        None,
        description="What a candidate must meet; all of it. Without this key: not worse than the baseline by "
        f"{DEFAULT_MARGIN:g} in accuracy (min_improvement replaces this), and better than always answering with the "
        "largest class (min_accuracy replaces this), both with one-sided 95% confidence.",
    )
    min_test_images: int = Field(0, ge=0, description="With fewer test images no candidate is approved.")
    min_test_images_by_class: int = Field(
        0, ge=0, description="With fewer test images of any class no candidate is approved."
    )

    @property
    def sliced(self) -> tuple[tuple[str, ...], ...]:
        """The columns of each kind of slice: one or two."""
        return tuple((one,) if isinstance(one, str) else one for one in dict.fromkeys(self.slices))

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that slices and requirements need, sorted."""
        judged = {name for one in self.requirements for name in one.columns}
        return tuple(sorted(judged | {name for names in self.sliced for name in names}))

    @property
    def for_training(self) -> dict[str, str]:
        """What the trained networks depend on, by key."""
        return {} if self.calibrate == "none" else {"calibrate": self.calibrate}

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """All requirements: those listed, or the default ones, and the short forms."""
        found = list(self.require or ())
        if self.require is None and self.min_improvement is None:
            found.append(Requirement(not_worse_than_baseline_by=DEFAULT_MARGIN))
        if self.require is None and self.min_accuracy is None:
            found.append(Requirement(better_than_largest_class_by=0.0))
        if self.min_accuracy is not None:
            found.append(Requirement(at_least=self.min_accuracy))
        if self.min_improvement is not None:
            found.append(Requirement(at_least_above_baseline=self.min_improvement))
        return tuple(found)
