"""When a schedule fires: the cron syntax that Kubeflow's server reads, and the arithmetic on it.

The server parses with version 1 of robfig/cron. Its syntax and rules are brought into the form that the library cronsim
computes with; what the server would not take, or would take for something else, is refused here.
"""

import heapq
import itertools
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from restem.errors import RestemError

# The name of each field, and the least and the greatest number in it.
FIELDS = (
    ("second", 0, 59),
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of the month", 1, 31),
    ("month", 1, 12),
    ("day of the week", 0, 6),
)
DAY, WEEKDAY = 3, 5
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
NAMES = {"month": {name: i for i, name in enumerate(MONTHS, 1)}, "day of the week": dict(zip(WEEKDAYS, range(7)))}  # noqa: B905
SHORTHANDS = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}
ITEM = re.compile(r"^(?:(?P<all>[*?])|(?P<first>[a-z0-9]+)(?:-(?P<last>[a-z0-9]+))?)(?:/(?P<step>[0-9]+))?$")
# The server gives up looking for the next moment after this many years, and then takes it for long past: it would
# start one run after the other.
SEARCHED = timedelta(days=5 * 365)
MAX_OFFSET_CHANGE = timedelta(hours=3)  # no zone moves its clocks by more at once


class Cron:
    """A schedule: the moments at which the clock of a zone shows what the expression says."""

    def __init__(self, expression: str, zone: str = "UTC") -> None:
        """Reads it.

        Args:
            expression: six fields, seconds first; five are taken as the server takes them, without the day of the
                week; or @daily and its like.
            zone: a name of the IANA database.

        Raises:
            RestemError: the server would refuse the expression, or the moment that it names never comes.
        """
        self.expression = expression
        self.zone = ZoneInfo(zone)
        self._fields = " ".join(_fields(expression))
        after = datetime.now(UTC)
        if not _leaves_a_day(self._fields) or next(self.after(after), after + 2 * SEARCHED) > after + SEARCHED:
            raise _wrong(expression, "a schedule that runs at least once in five years")

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The ticks later than `moment` (aware of its zone), in order, in UTC."""
        walls, later = itertools.tee(self._walls(moment.astimezone(self.zone).replace(tzinfo=None) - MAX_OFFSET_CHANGE))
        # Where clocks are put back an hour comes twice, and so do its ticks; where they are put forward one is missing.
        merged = heapq.merge(self._moments(walls, fold=0), self._moments(later, fold=1))
        return (tick for tick, _ in itertools.groupby(merged) if tick > moment)

    def upcoming(self, moment: datetime, count: int) -> list[datetime]:
        """The next ticks after `moment`, in UTC."""
        return list(itertools.islice(self.after(moment), count))

    def _walls(self, wall: datetime) -> Iterator[datetime]:
        from cronsim import CronSim

        yield from CronSim(self._fields, wall)

    def _moments(self, walls: Iterable[datetime], fold: int) -> Iterator[datetime]:
        for wall in walls:
            moment = wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC)
            if moment.astimezone(self.zone).replace(tzinfo=None) == wall:
                yield moment


def _fields(expression: str) -> list[str]:
    """The six fields as cronsim reads them, with the same meaning."""
    fields = SHORTHANDS.get(expression.strip().lower(), expression).lower().split()
    if len(fields) == len(FIELDS) - 1 and not expression.strip().startswith("@"):
        fields.append("*")
    if len(fields) != len(FIELDS):
        raise _wrong(expression, "six fields: second, minute, hour, day of the month, month, day of the week")
    return [_field(text, *field, expression) for text, field in zip(fields, FIELDS, strict=True)]


def _field(text: str, name: str, least: int, greatest: int, expression: str) -> str:
    items = [_item(item, name, least, greatest, expression) for item in text.split(",")]
    if "*" in items:
        return "*"
    # A star anywhere in a field of days makes the other field of days a further condition; cronsim looks for it at the
    # beginning.
    return ",".join(sorted(items, key=lambda item: not item.startswith("*")))


def _item(text: str, name: str, least: int, greatest: int, expression: str) -> str:
    found = ITEM.match(text)
    if not found:
        raise _wrong(expression, f"*, ?, numbers, names, ranges a-b and steps a/n in the {name}", text)
    step = int(found["step"] or 1)
    first = least if found["all"] else _number(found["first"], name)
    last = _number(found["last"], name) if found["last"] else first
    if found["all"] or (found["step"] and not found["last"]):
        last = greatest
    if first is None or last is None or not least <= first <= last <= greatest or not step:
        raise _wrong(expression, f"in the {name} numbers from {least} to {greatest}, steps from 1", text)
    if found["all"]:
        return "*" if step == 1 else f"*/{step}"
    return ",".join(str(number) for number in range(first, last + 1, step))


def _number(text: str, name: str) -> int | None:
    return int(text) if text.isdigit() else NAMES.get(name, {}).get(text)


def _leaves_a_day(fields: str) -> bool:
    """Whether cronsim finds that some month has such a day."""
    from cronsim import CronSim, CronSimError

    try:
        CronSim(fields, datetime(2000, 1, 1))
    except CronSimError:
        return False
    return True


def _wrong(expression: str, expected: str, item: str | None = None) -> RestemError:
    return RestemError(
        "Kubeflow cannot keep this schedule",
        where="kubeflow.schedule.cron",
        expected=expected,
        given=f"{item} in {expression!r}" if item else repr(expression),
        remedy="For instance '0 0 3 * * *', every day at 3:00",
    )
