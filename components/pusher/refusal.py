"""Why an approved model is not pushed."""

from restem.model_files import fingerprint
from restem.pusher.classes import class_change
from restem.pusher.release import Release, Withdrawn, withdrawal
from restem.pusher.versions import versions
from restem.run_record import EXTRA, read_classes


def refusal(
    destination: str, model: str, release: Release, *, allow_class_changes: bool, known: str | None = None
) -> str | None:
    """Why an approved model must not become the newest version, in sentences; None if it may.

    Args:
      destination: the folder of versions.
      model: the folder of the SavedModel.
      release: the record of the approval.
      allow_class_changes: whether it may lack a class of the newest version.
      known: the fingerprint of the model's files, if it is known.
    """
    withdrawn = withdrawal(destination, model, known=known)
    if withdrawn is not None:
        return why_not(withdrawn)
    meanwhile = _pushed_meanwhile(destination, release)
    if meanwhile is not None:
        return meanwhile
    change = class_change(destination, read_classes(f"{model}/{EXTRA}"))
    if change is None or not change.missing or allow_class_changes:
        return None
    return (
        f"{change.sentence} A model without a class of the newest version is not pushed. Add images of it, or set "
        "data.allow_class_changes: true."
    )


def _pushed_meanwhile(destination: str, release: Release) -> str | None:
    """Why a model is not pushed that was compared with a version that is no longer the newest; None if it is."""
    newest = next(iter(versions(destination)), None)
    if newest is None or release.newest_known is None or newest.number <= release.newest_known:
        return None
    if fingerprint(newest.path) == release.baseline_fingerprint:  # a rollback to it
        return None
    return (
        f"Version {newest.number} was pushed after the baseline ({release.baseline}) was chosen. This model was not "
        "compared with it, and is not pushed. The next run compares with the newest version."
    )


def why_not(withdrawn: Withdrawn) -> str:
    """Why a withdrawn model is not pushed, in sentences."""
    return (
        f"This model was rolled back ({withdrawn.at}, version {withdrawn.version}), so it is not pushed again. Another "
        f"model is pushed as usual; restem rollback {withdrawn.version} releases this one again."
    )
