"""The configuration's section for the comparison."""

from pydantic import Field

from restem.section import Section

STOCK, LATEST_APPROVED = BASELINES = ("stock", "latest_approved")


class EvaluateConfig(Section):
    """What a candidate must reach to be approved, on the test split."""

    min_accuracy: float = Field(0.0, ge=0, le=1, description="The candidate's accuracy must be at least this.")
    min_improvement: float = Field(
        0.0,
        ge=-1,
        le=1,
        description="The candidate's accuracy less the baseline's must be at least this; negative allows a loss.",
    )
    baseline: str = Field(
        "stock",
        min_length=1,
        description="What the candidate has to beat. stock: the unchanged network, trained on the same images; "
        "latest_approved: the newest whole version under push.destination, the stock network where there is none; "
        "or the folder of a pushed model, or one of versions.",
    )
    slices: tuple[str, ...] = Field(
        (),
        description="Columns of data.metadata by whose values the test images are told apart: the report shows both "
        "models' accuracy on each part. What is demanded above is demanded of all test images together.",
    )
