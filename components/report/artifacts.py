"""The report as an artifact."""

from tfx.types.artifact import Artifact


class HtmlReport(Artifact):
    """A folder with `index.html`: one page that needs nothing else."""

    TYPE_NAME = "restem.HtmlReport"
