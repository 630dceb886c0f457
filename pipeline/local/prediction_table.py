"""The CSV of predictions. Until it is complete it has another name, and a later call goes on with it."""

import csv
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from restem.errors import RestemError

FIELDS = ("path", "label", "probability", "error")
MOST_CLASSES = 100  # with more, there is only the probability of the predicted class
FLUSH_ROWS = 32


class PredictionTable:
    """Rows of `path`, `label`, `probability`, `error`, and the probability of each class ("p: cat").

    It is written as FILE.part. FILE.part.json says which model it is from.
    """

    def __init__(self, path: Path, model: str, classes: Sequence[str]) -> None:
        """Prepares it; `resume` opens it.

        Args:
          path: the file.
          model: the fingerprint of the model.
          classes: all classes, in the order of an answer's `probabilities`.
        """
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._about = path.with_name(f"{path.name}.part.json")
        self._with_classes = 0 < len(classes) <= MOST_CLASSES
        self._fields = [*FIELDS, *([f"p: {name}" for name in classes] if self._with_classes else [])]
        self._key = {"model": model, "columns": self._fields}
        self._file: TextIO | None = None
        self._rows = 0

    def resume(self, paths: Iterable[str]) -> set[str]:
        """Opens the table, and keeps the rows of an interrupted call; those of files with an error are tried again.

        Returns:
          The paths that have rows.

        Raises:
          RestemError: the rows are from another model, or the table cannot be written.
        """
        wanted = set(paths)
        rows = [row for row in self._left_over() if row[0] in wanted]
        fresh = self._part.with_name(f"{self._part.name}.new")
        try:
            with open(fresh, "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
                csv.writer(file).writerows([self._fields, *rows])
            os.replace(fresh, self._part)
            self._about.write_text(json.dumps(self._key), encoding="utf-8")
            self._file = open(self._part, "a", newline="", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
            self._writer = csv.writer(self._file)
        except OSError as error:
            raise self._cannot_write(error) from None
        return {row[0] for row in rows}

    def add(self, answer: dict[str, Any]) -> None:
        """Adds the answer for a file."""
        assert self._file is not None
        if "error" in answer:
            row = [answer["path"], "", "", answer["error"], *[""] * (len(self._fields) - len(FIELDS))]
        else:
            row = [answer["path"], answer["label"], f"{answer['scores'][answer['label']]:.6f}", ""]
            row += [f"{value:.6f}" for value in answer["probabilities"]] if self._with_classes else []
        try:
            self._writer.writerow(row)
            self._rows += 1
            if self._rows % FLUSH_ROWS == 0:
                self._file.flush()
        except OSError as error:
            raise self._cannot_write(error) from None

    def finish(self) -> None:
        """Gives the complete table its name."""
        try:
            self.close()
            os.replace(self._part, self._path)
            self._about.unlink(missing_ok=True)
        except OSError as error:
            raise self._cannot_write(error) from None

    def close(self) -> None:
        """Closes the file; its rows stay."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _left_over(self) -> list[list[str]]:
        """The complete rows of an interrupted call, without errors."""
        if not self._part.exists():
            return []
        try:
            about = json.loads(self._about.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            about = None
        if about != self._key:
            raise RestemError(
                "an unfinished table of another model has this name",
                where=str(self._part),
                expected="a table that the same model began",
                remedy="Remove it to begin again, or choose another --out",
            )
        with open(self._part, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))[1:]
        # The last row may be cut.
        complete = rows[:-1] if rows and not self._part.read_bytes().endswith(b"\n") else rows
        return [row for row in complete if len(row) == len(self._fields) and not row[FIELDS.index("error")]]

    def _cannot_write(self, error: OSError) -> RestemError:
        return RestemError(
            "the predictions cannot be written",
            where=f"--out {self._path}",
            given=error.strerror or str(error),
            remedy=f"What is done is in {self._part}: the same command goes on from there",
        )
