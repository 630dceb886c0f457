"""The exception for everything that a user can fix: a configuration, a folder of images, a missing file."""

from restem.visible import visible, visible_lines


class RestemError(ValueError):
    """An error that the user can fix; shown as one paragraph, never with a stack trace.

    It is a ValueError so that pydantic validators can raise it and pydantic collects it with the other errors.

    Args:
        what: what is wrong, as a sentence without a full stop.
        where: the affected key, file or example, e.g. "image.size (digits.yaml, line 4)".
        expected: what would be correct.
        given: what was found instead.
        remedy: how to fix it, as a sentence.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        expected: str | None = None,
        given: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.expected = expected
        self.given = given
        self.remedy = remedy
        super().__init__(self.paragraph())

    def paragraph(self) -> str:
        """The message: "where: what. Expected ..., given .... Remedy."."""
        start = f"{self.where}: {self.what}" if self.where else self.what
        sides = [f"expected {self.expected}" if self.expected else "", f"given {self.given}" if self.given else ""]
        told = ", ".join(side for side in sides if side)
        parts = [start, told[:1].upper() + told[1:], self.remedy or ""]
        told = " ".join(part if part.endswith((".", "!", "?", ":")) else part + "." for part in parts if part)
        return visible_lines(told)

    def __reduce__(self):
        """Supports pickling, because Beam sends exceptions between processes."""
        return _rebuild, (type(self), self.__dict__.copy())


def _rebuild(cls: type[RestemError], state: dict) -> RestemError:
    error = cls.__new__(cls)
    error.__dict__.update(state)
    ValueError.__init__(error, error.paragraph())
    return error


def check_visible(path: str, where: str | None = None) -> None:
    """Refuses a path for output that would not be shown as it is.

    Raises:
      RestemError: it has control characters, such as a line break.
    """
    if visible(path) != path:
        raise RestemError(
            "this path has control characters", where=where, given=visible(path), remedy="Choose another name"
        )
