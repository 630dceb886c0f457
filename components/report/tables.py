"""The page's tables by class and by slice, and the confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from restem.report import formatting, measures
from restem.report.data import Slice
from restem.run_record import Evaluation

SHOWN_CLASSES = 20  # tables and matrix show at most this many classes, the worst ones; the rest is collapsed
SHOWN_CONFUSIONS = 10
REPEATED = 2  # a confusion must occur this often to be listed; the matrix has all
FOLDED_CLASSES = 1000  # the collapsed tables list at most this many
SHOWN_SLICES = 20  # values of a column, those with the lowest accuracy; the rest is collapsed
FOLDED_SLICES = 1000
SHADES = 8  # steps of the confusion matrix's shading, as in report.css
SHORT_NAME = 4  # column headings up to this length are not rotated


def classes(candidate: Evaluation, baseline: Evaluation) -> dict[str, Any]:
    """The table by class; of many classes those with the lowest F1."""

    def scores(of: Evaluation) -> tuple[measures.ClassScore, ...]:
        return measures.class_scores(of.labels, of.predicted, len(of.classes))

    # The baseline may have its classes in a different order.
    baseline_recall = {baseline.classes[score.index]: score.recall for score in scores(baseline)}
    rows = [
        {"name": name, "score": score, "baseline": baseline_recall.get(name)}
        for name, score in zip(candidate.classes, scores(candidate), strict=True)
    ]
    if len(rows) <= SHOWN_CLASSES:
        return {"shown": rows, "folded": [], "total": len(rows)}

    def badness(row: dict[str, Any]) -> tuple[float, int]:
        f1 = row["score"].f1
        return (2.0 if f1 is None else f1, -row["score"].images)

    return {
        "shown": sorted(rows, key=badness)[:SHOWN_CLASSES],
        "folded": rows[:FOLDED_CLASSES],
        "total": len(rows),
    }


def slices(slices: Sequence[Slice]) -> list[dict[str, Any]]:
    """One table per column, lowest accuracy first, with the candidate's interval."""
    tables = []
    for column in dict.fromkeys(part.column for part in slices):
        rows = [
            {"slice": part, "interval": measures.wilson_interval(round(part.candidate * part.images), part.images)}
            for part in sorted(slices, key=lambda part: (part.candidate, -part.images))
            if part.column == column
        ]
        folded = rows[:FOLDED_SLICES] if len(rows) > SHOWN_SLICES else []
        tables.append({"column": column, "shown": rows[:SHOWN_SLICES], "folded": folded, "total": len(rows)})
    return tables


@dataclass(frozen=True)
class Cell:
    """One cell of the confusion matrix."""

    count: int
    shade: int  # 0 (none) .. SHADES (all of the row's images)
    right: bool  # on the diagonal
    title: str
    mixed: int = 0  # in the cell "others, others": number of wrong images


def confusion_table(names: tuple[str, ...], matrix: np.ndarray) -> dict[str, Any]:
    """The matrix as a table: complete for few classes; for many, the worst classes, with all others combined."""
    size = len(names)
    mistakes = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * np.diag(matrix)
    if size <= SHOWN_CLASSES:
        kept, labels = np.arange(size), list(names)
    else:
        kept = np.sort(np.argsort(-mistakes, kind="stable")[:SHOWN_CLASSES])
        labels = [names[i] for i in kept] + [f"the other {size - len(kept)}"]
    place = np.full(size, len(labels) - 1)
    place[kept] = np.arange(len(kept))
    table = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(table, (place[:, None], place[None, :]), matrix)
    others = len(labels) - 1 if size > SHOWN_CLASSES else -1
    hits = int(np.diag(matrix)[place == others].sum()) if others >= 0 else 0
    totals = table.sum(axis=1)

    def cell(row: int, column: int) -> Cell:
        number, total = int(table[row, column]), int(totals[row])
        title = f"{labels[row]} predicted as {labels[column]}: {number} of {formatting.images(total)}"
        if row == column:
            title = f"{labels[row]} predicted correctly: {number} of {formatting.images(total)}"
        mixed = 0
        if row == column == others:
            mixed, number = number - hits, hits
            title = f"other classes predicted correctly: {hits}; confused with each other: {mixed}"
        shade = math.ceil(SHADES * number / total) if total else 0
        return Cell(number, shade, row == column, title, mixed)

    return {
        "labels": labels,
        "rows": [[cell(i, j) for j in range(len(labels))] for i in range(len(labels))],
        "collapsed": size > SHOWN_CLASSES,
        "upright": max(map(len, labels)) <= SHORT_NAME,
        "size": size,
    }


def frequent_confusions(names: tuple[str, ...], matrix: np.ndarray) -> list[dict[str, Any]]:
    """The pairs of classes that are confused most often."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    images = matrix.sum(axis=1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:SHOWN_CONFUSIONS]
    pairs = [divmod(int(cell), len(names)) for cell in order]
    return [
        {"true": names[i], "predicted": names[j], "count": int(wrong[i, j]), "share": wrong[i, j] / images[i]}
        for i, j in pairs
        if wrong[i, j] >= REPEATED
    ]
