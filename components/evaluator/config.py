"""The configuration section for the comparison."""

from pydantic import Field

from restem.section import Section

STOCK, LATEST_APPROVED = BASELINES = ("stock", "latest_approved")


class EvaluateConfig(Section):
    """What a candidate must reach on the test split to be approved."""

    min_accuracy: float = Field(0.0, ge=0, le=1, description="Minimum accuracy of the candidate.")
    min_improvement: float = Field(
        0.0,
        ge=-1,
        le=1,
        description="Minimum of the candidate's accuracy minus the baseline's; a negative value allows a loss.",
    )
    baseline: str = Field(
        "stock",
        min_length=1,
        description="Model that the candidate has to beat. stock: the unchanged network, trained on the same images. "
        "latest_approved: the newest complete version under push.destination, or the stock network if there is none. "
        "Or the folder of a pushed model, or a folder of versions.",
    )
    slices: tuple[str, ...] = Field(
        (),
        description="Columns of data.metadata that divide the test images into slices, one per value. The report shows "
        "both models' accuracy on each slice. The thresholds apply to all test images together.",
    )
