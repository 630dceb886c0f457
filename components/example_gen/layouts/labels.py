"""What a column of labels means: spellings of one class become one, missing labels are missing, and what is no single
class per image is refused with the values.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import ImageFile, Refused
from restem.example_gen.layouts.table import is_number

# What pandas, R, SQL and spreadsheets write for a missing value.
MISSING = frozenset({"", "nan", "-nan", "na", "n/a", "<na>", "#n/a", "#na", "nat", "null", "[]"})
_NONE = frozenset({"none"})  # a class of this name is common: "no defect"
_BOOLEANS = frozenset({"true", "false"})
_TRUE, _FALSE = frozenset({"1", "true"}), frozenset({"0", "false", ""})
_BYTES = re.compile(r"""b(['"])([^\\]*)\1""")
_ONE_IN_LIST = re.compile(r"""[\[(]\s*(?:(['"])([^'"]*)\1|([^,'"\[\]()]*)),?\s*[\])]""")
_LIST = re.compile(r"\[.*,.*\]|\(.*,.*\)", re.DOTALL)
_SEPARATORS = "|;,+&/"
_SHOWN = 5
_MOST_TRIED = 40  # columns of 0 and 1 of which parts are tried
NO_MULTI_LABEL = "exactly one class for each image: this product does not train on several labels for an image"


@dataclass(frozen=True)
class Labels:
    """What the texts of a column of labels mean.

    names: text -> the class's name; a text that is missing here is no label.
    reasons: text -> why it is no label, as a part of a sentence.
    notes: what the user should know.
    """

    names: dict[str, str]
    reasons: dict[str, str]
    notes: tuple[str, ...]


def read_labels(counts: Counter[str], config: DataConfig, where: str) -> Labels:
    """Decides for all labels of the data at once.

    Args:
      counts: each text and how often it occurs.
      config: its `label_threshold` and `numbers_are_names`.
      where: of the data, for messages.

    Raises:
      RestemError: images have several labels, the labels are numbers with decimals, or 0 and 1 are mixed with true and
        false.
    """
    reasons = {text: _why_missing(text) for text in counts if text.lower() in MISSING}
    texts = [text for text in counts if text not in reasons]
    names = {text: unicodedata.normalize("NFC", text) for text in texts}
    for unpack in (_from_bytes, _from_lists):
        names = unpack(names, counts, where)
    for text in [text for text, name in names.items() if name.lower() in MISSING]:
        reasons[text] = _why_missing(text)
        del names[text]
    if config.label_threshold is not None:
        return _by_threshold(names, reasons, config.label_threshold)
    if names and all(is_number(name) for name in names.values()):
        names = _numbers(names, counts, config, where)
    else:
        names = _words(names, counts, where)
    return Labels(names, reasons, (*_merged(names), *_doubtful(names, counts)))


def relabel(files: list[ImageFile], refused: list[Refused], config: DataConfig, where: str) -> Labels:
    """Replaces the labels of images in records by what they mean, as in a table; a missing one is refused.

    Raises:
      RestemError: see `read_labels`.
    """
    labels = read_labels(Counter(file.label for file in files), config, where)
    for file in files:
        if file.label not in labels.names:
            assert file.record is not None
            reason = labels.reasons[file.label]
            refused.append(Refused(file.path, f"{reason[0].upper()}{reason[1:]}.", file.record.length))
    files[:] = [replace(file, label=labels.names[file.label]) for file in files if file.label in labels.names]
    return labels


def _why_missing(text: str) -> str:
    return f"the label {text!r} means that it is missing" if text else "the label is empty"


def _from_bytes(names: dict[str, str], counts: Counter[str], where: str) -> dict[str, str]:
    """b'cat', as NumPy's arrays of bytes are written, is cat."""
    found = {text: _BYTES.fullmatch(name) for text, name in names.items()}
    return {text: match[2] if match else names[text] for text, match in found.items()}


def _from_lists(names: dict[str, str], counts: Counter[str], where: str) -> dict[str, str]:
    """['cat'] is cat; ['cat', 'dog'] is refused."""
    found = {text: _ONE_IN_LIST.fullmatch(name) for text, name in names.items()}
    several = [text for text, name in names.items() if not found[text] and _LIST.fullmatch(name)]
    if several:
        raise _several_labels(several, counts, where)
    return {
        text: (match[2] if match[2] is not None else match[3]).strip() if match else names[text]
        for text, match in found.items()
    }


def _by_threshold(names: dict[str, str], reasons: dict[str, str], threshold: float) -> Labels:
    low, high = f"below {threshold:g}", f"{threshold:g} or more"
    found = {}
    for text, name in names.items():
        if is_number(name):
            found[text] = high if float(name.replace(",", ".")) >= threshold else low
        else:
            reasons[text] = f"the label {text!r} is not a number, as data.label_threshold needs it"
    return Labels(found, reasons, ())


def _numbers(names: dict[str, str], counts: Counter[str], config: DataConfig, where: str) -> dict[str, str]:
    """Whole numbers without decimals: 1.0 is 1.

    Raises:
      RestemError: there are other numbers.
    """
    if config.numbers_are_names:
        return names
    values = {text: Decimal(name.replace(",", ".")) for text, name in names.items()}
    broken = [text for text, value in values.items() if value != value.to_integral_value()]
    if broken:
        ordered = sorted(names, key=lambda text: values[text])
        raise RestemError(
            "the labels are numbers with decimals: are they classes, or numbers to predict, such as probabilities?",
            where=where,
            expected="a class for each image; this product does not train on numbers to predict",
            given=_listed(ordered, counts),
            remedy="Set data.label_threshold: 0.5 for two classes, the numbers below it and the others; or, if each of "
            "these numbers is the name of a class, data.numbers_are_names: true",
        )
    return {text: name if name.isdigit() else str(int(values[text])) for text, name in names.items()}


def _words(names: dict[str, str], counts: Counter[str], where: str) -> dict[str, str]:
    known = set(names.values())
    lowered = {name.lower() for name in known}
    if lowered & _BOOLEANS and lowered - _BOOLEANS and lowered <= _TRUE | _FALSE | {"0.0", "1.0"}:
        raise RestemError(
            "the labels mix true and false with numbers",
            where=where,
            expected="one spelling of each class",
            given=_listed(sorted(names), counts),
            remedy="Write 1 or true, 0 or false",
        )
    if lowered & _BOOLEANS:
        names = {text: name.lower() if name.lower() in _BOOLEANS else name for text, name in names.items()}
    for separator in _SEPARATORS:
        several = [text for text, name in names.items() if separator in name and _made_of(name, separator, known)]
        if several:
            raise _several_labels(several, counts, where)
    # Some numbers among names: 1.0 is 1 if there is a 1.
    return {text: _without_zeros(name) if _without_zeros(name) in known else name for text, name in names.items()}


def _made_of(name: str, separator: str, known: set[str]) -> bool:
    """Whether a name consists of other labels: for a bar, one of them is enough, as it is hardly part of a name."""
    parts = [part.strip() for part in name.split(separator)]
    alone = [part in known for part in parts if part]
    return len(alone) > 1 and (any(alone) if separator == "|" else all(alone))


def _without_zeros(name: str) -> str:
    return re.sub(r"\.0+$", "", name) if is_number(name) else name


def _several_labels(texts: Sequence[str], counts: Counter[str], where: str) -> RestemError:
    images = sum(counts[text] for text in texts)
    return RestemError(
        f"{images} of {counts.total()} images have several labels",
        where=where,
        expected=NO_MULTI_LABEL,
        given=_listed(texts, counts),
        remedy="Remove these images, or give each of them one label",
    )


def _listed(texts: Sequence[str], counts: Counter[str]) -> str:
    shown = ", ".join(f"{text[:60]!r} ({counts[text]} images)" for text in texts[:_SHOWN])
    return f"{shown} and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else shown


def _merged(names: dict[str, str]) -> list[str]:
    """The spellings that were changed."""
    changed = [f"{text!r} is {name!r}" for text, name in names.items() if unicodedata.normalize("NFC", text) != name]
    if not changed:
        return []
    more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
    return [f"Spellings of labels that were read as one class: {', '.join(sorted(changed)[:_SHOWN])}{more}."]


def _doubtful(names: dict[str, str], counts: Counter[str]) -> list[str]:
    notes = [
        f"The label {text!r} ({counts[text]} images) was read as a class. If it means that the label is missing, empty "
        "it."
        for text, name in names.items()
        if name.lower() in _NONE
    ]
    barred = [text for text, name in names.items() if "|" in name]
    if barred:
        notes.append(
            f"Labels with a bar, such as {barred[0]!r}, were read as the names of single classes. If they are several "
            "labels of an image, this product does not train on them."
        )
    return notes


# --- one column for each class ----------------------------------------------------------------------------------------


def is_flag(text: str) -> bool:
    """Whether a cell of a one-hot column is 0 or 1, as a number or a truth value, or empty."""
    return _flag(text) is not None


def _flag(text: str) -> bool | None:
    lowered = _without_zeros(text).lower()
    return True if lowered in _TRUE else False if lowered in _FALSE else None


class OneHotLabels:
    """Reads the class of each row: the column with the 1."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._seen: dict[tuple[str, ...], str] = {}
        self._bad: list[tuple[str, Sequence[str]]] = []

    def read(self, row: str, cells: Sequence[str]) -> str:
        """The class of a row.

        Args:
          row: its name for the user, such as "Line 7".
          cells: of the columns.
        """
        key = tuple(cells)
        if key not in self._seen:
            flags = [_flag(cell) for cell in cells]
            one = flags.count(True) == 1 and None not in flags
            self._seen[key] = self._columns[flags.index(True)] if one else ""
        if not self._seen[key]:
            self._bad.append((row, cells))
        return self._seen[key]

    def check(self, where: str) -> None:
        """Refuses a table of which rows have no class, or several.

        Raises:
          RestemError: there are such rows.
        """
        if self._bad:
            raise not_one_hot(self._columns, self._bad, where)


def not_one_hot(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]], where: str) -> RestemError:
    """The error for rows in which not exactly one column is 1."""
    pairs = "; ".join(
        f"{row}: {', '.join(f'{name} {cell}' for name, cell in zip(columns, cells, strict=True)) or 'nothing'}"
        for row, cells in rows[:_SHOWN]
    )
    return RestemError(
        f"the columns {', '.join(columns[:_SHOWN])}{' ...' if len(columns) > _SHOWN else ''} do not give each image "
        f"exactly one class: {len(rows)} {'row has' if len(rows) == 1 else 'rows have'} none or several",
        where=where,
        expected=f"one 1 and else 0 in each row ({NO_MULTI_LABEL})",
        given=pairs,
        remedy="Remove these rows; or, if one of the columns alone is the class, set data.columns.label to it",
    )


def find_one_hot(columns: dict[str, list[str]]) -> tuple[tuple[str, ...], list[int]]:
    """The neighbouring columns of which exactly one is 1 in each row.

    Args:
      columns: the candidates, in the table's order, each with its cells.

    Returns:
      The longest such run of columns; or, if there is none, all columns of 0 and 1, and the rows in which not exactly
      one of them is 1. No columns if fewer than two have only 0 and 1.
    """
    flags = {name: [_flag(cell) for cell in cells] for name, cells in columns.items()}
    names = [name for name, cells in flags.items() if None not in cells and True in cells and False in cells]
    if len(names) < 2:
        return (), []
    shortest = 2 if len(names) <= _MOST_TRIED else len(names)
    for length in range(len(names), shortest - 1, -1):
        for start in range(len(names) - length + 1):
            chosen = names[start : start + length]
            if all(row.count(True) == 1 for row in zip(*(flags[name] for name in chosen), strict=True)):
                return tuple(chosen), []
    rows = list(zip(*(flags[name] for name in names), strict=True))
    return tuple(names), [number for number, row in enumerate(rows) if row.count(True) != 1]
