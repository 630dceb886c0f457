"""When a schedule fires: the cron syntax that Kubeflow's server reads, and the arithmetic on it.

The server parses with version 1 of robfig/cron. An expression is translated into the syntax of the library cronsim,
which computes the moments. What the server would refuse is refused here.
"""

import itertools
import re
from collections.abc import Iterator
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
ITEM = re.compile(r"(?:(?P<all>[*?])|(?P<first>[a-z0-9]+)(?:-(?P<last>[a-z0-9]+))?)(?:/(?P<step>[0-9]+))?")
# The server searches for the next moment within this time. If it finds none, it starts one run after another.
SEARCHED = timedelta(days=5 * 365)


class Cron:
    """A schedule: the moments at which the clock of a zone shows what the expression says."""

    def __init__(self, expression: str, zone: str = "UTC") -> None:
        """Parses it.

        Args:
            expression: six fields, seconds first; five fields lack the day of the week, as on the server; or a
                shorthand such as @daily.
            zone: a name of the IANA database.

        Raises:
            RestemError: the server would refuse the expression, or its moment never comes.
        """
        from cronsim import CronSimError

        self.zone = ZoneInfo(zone)
        self._fields = " ".join(_fields(expression))
        now = datetime.now(UTC)
        try:
            first = next(self.after(now), None)
        except CronSimError:  # no month has such a day
            first = None
        if first is None or first > now + SEARCHED:
            raise _wrong(expression, "a schedule that runs at least once in five years")

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The ticks later than `moment` (aware of its zone), in order, in UTC.

        When clocks are put back, an hour comes twice, and so do its ticks; when they are put forward, one is missing.
        """
        from cronsim import CronSim

        for tick in CronSim(self._fields, moment.astimezone(self.zone)):
            utc = tick.astimezone(UTC)
            # cronsim also returns midnights that do not exist.
            if utc.astimezone(self.zone) == tick:
                yield utc

    def upcoming(self, moment: datetime, count: int) -> list[datetime]:
        """The next ticks after `moment`, in UTC."""
        return list(itertools.islice(self.after(moment), count))


def _fields(expression: str) -> list[str]:
    """The six fields in cronsim's syntax, with the same meaning."""
    fields = SHORTHANDS.get(expression.strip().lower(), expression).lower().split()
    if len(fields) == len(FIELDS) - 1 and not expression.strip().startswith("@"):
        fields.append("*")
    if len(fields) != len(FIELDS):
        raise _wrong(expression, "six fields: second, minute, hour, day of the month, month, day of the week")
    return [_field(text, *field, expression) for text, field in zip(fields, FIELDS, strict=True)]


def _field(text: str, name: str, least: int, greatest: int, expression: str) -> str:
    items = [_item(item, name, least, greatest, expression) for item in text.split(",")]
    # A star anywhere in a field of days makes the other field of days a further condition; in cronsim only a star at
    # the beginning does. Sorted, stars come first.
    return ",".join(sorted(items))


def _item(text: str, name: str, least: int, greatest: int, expression: str) -> str:
    found = ITEM.fullmatch(text)
    if not found:
        raise _wrong(expression, f"*, ?, numbers, names, ranges a-b and steps a/n in the {name}", text)
    step = int(found["step"] or 1)
    first = least if found["all"] else _number(found["first"], name)
    last = _number(found["last"], name) if found["last"] else greatest if found["all"] or found["step"] else first
    if first is None or last is None or not least <= first <= last <= greatest or not step:
        raise _wrong(expression, f"in the {name} numbers from {least} to {greatest}, steps from 1", text)
    return f"*/{step}" if found["all"] else ",".join(map(str, range(first, last + 1, step)))


def _number(text: str, name: str) -> int | None:
    return int(text) if text.isdigit() else NAMES.get(name, {}).get(text)


def _wrong(expression: str, expected: str, item: str | None = None) -> RestemError:
    return RestemError(
        "Kubeflow cannot keep this schedule",
        where="kubeflow.schedule.cron",
        expected=expected,
        given=f"{item} in {expression!r}" if item else repr(expression),
        remedy="For instance '0 0 3 * * *', every day at 3:00",
    )
