"""The report as an artifact."""

from tfx.types.artifact import Artifact


class HtmlReport(Artifact):
    """A folder with `index.html`, a self-contained page."""

    TYPE_NAME = "restem.HtmlReport"
