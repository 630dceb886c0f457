"""Whether the Python packages of an optional part are there, asked before anything long starts."""

import importlib.util
from collections.abc import Sequence

from restem.errors import RestemError


def check_packages(packages: Sequence[str], *, where: str, remedy: str) -> None:
    """Rejects a part whose packages are missing; none of them is imported.

    Args:
      packages: their names in Python.
      where: the key or option that needs them.
      remedy: the command that installs them.

    Raises:
      RestemError: it names the missing packages.
    """
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        what = "packages" if len(missing) > 1 else "package"
        raise RestemError(
            f"the Python {what} {', '.join(missing)} {'are' if len(missing) > 1 else 'is'} missing",
            where=where,
            remedy=remedy,
        )
