"""The one exception for what a user can put right: a configuration, a folder of images, a missing file."""


class RestemError(ValueError):
    """A mistake that the reader of the message can mend; shown as one paragraph, never with a stack trace.

    It is a ValueError so that pydantic's validators may raise it and have it collected with the others.

    Args:
        what: what is wrong, a sentence without its full stop.
        where: the key, file or example concerned, e.g. "image.size (digits.yaml, line 4)".
        expected: what would have been right.
        given: what was found instead.
        remedy: what to do about it, a sentence.
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
        return " ".join(part if part.endswith((".", "!", "?", ":")) else part + "." for part in parts if part)

    def __reduce__(self):
        """Survives pickling: Beam carries exceptions between processes."""
        return _rebuild, (type(self), self.__dict__.copy())


def _rebuild(cls: type[RestemError], state: dict) -> RestemError:
    error = cls.__new__(cls)
    error.__dict__.update(state)
    ValueError.__init__(error, error.paragraph())
    return error
