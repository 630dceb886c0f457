"""The record of a release: what approved a model, when it was pushed, and which models must not be pushed again.

The Report writes it into its output `release`, without what only a push knows. A push completes it, and writes it into
the version as assets.extra/release.json. So a folder of versions is its own registry: there is no other store.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from restem.example_gen.classes import ClassChange
from restem.files import exists
from restem.model_files import RELEASE, fingerprint
from restem.pusher.versions import versions
from restem.record_files import VERSION, DamagedRecord, parse
from restem.run_record import EXTRA, ModelRecord, read_model

NAME = RELEASE.removeprefix(f"{EXTRA}/")
# The sections of a configuration that decide a network.
DECISIVE = ("image", "model", "stem", "train")


@dataclass(frozen=True)
class Origin:
    """Where a version that a rollback pushed comes from.

    Attributes:
      version: the version whose model it is.
      pushed_at: when that version was pushed.
      replaced: the version that was served before the rollback.
    """

    version: int
    pushed_at: str | None
    replaced: int


@dataclass(frozen=True)
class Withdrawn:
    """A model that a rollback replaced. A run does not push it again.

    Attributes:
      version: its version when it was replaced.
      at: when.
      fingerprint: of its files.
      product: see the function `product`; a network that is trained once more on the same images with the same settings
        and code is the same release.
    """

    version: int
    at: str
    fingerprint: str
    product: str | None = None


@dataclass(frozen=True)
class Release:
    """A release.

    Attributes:
      pipeline: the pipeline's name.
      reason: the reason of the approval, a sentence.
      figures: the Evaluator's metrics on the test images, by role (candidate, baseline) and name.
      baseline: what the candidate was compared with, as part of a sentence.
      pushed_at: the time of the push, e.g. "2026-11-26T03:00:12Z".
      class_changes: how the run's classes differ from those of earlier models and data.classes; each a ClassChange.
      run: the id of the run that pushed it: in ML Metadata the name of the run's context.
      origin: set by a rollback.
      withdrawn: the models that runs must not push, as of this release.
      newest_known: the largest number of a version when the baseline was chosen, 0 if there was none; None if the
        baseline was not to be the newest approved version.
      baseline_fingerprint: of the files of the pushed model that was the baseline.
    """

    pipeline: str = ""
    reason: str = ""
    figures: dict[str, dict[str, float | None]] = field(default_factory=dict)
    baseline: str = ""
    class_changes: tuple[ClassChange, ...] = ()
    pushed_at: str | None = None
    run: str | None = None
    origin: Origin | None = None
    withdrawn: tuple[Withdrawn, ...] = ()
    newest_known: int | None = None
    baseline_fingerprint: str | None = None
    version: int = VERSION

    def to_bytes(self) -> bytes:
        """The content of release.json."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False).encode("utf-8")


def read_release(folder: str) -> Release | None:
    """Reads release.json in a folder; None if there is none.

    Raises:
      DamagedRecord: it cannot be used.
    """
    return parse(folder, NAME, Release) if exists(f"{folder}/{NAME}") else None


def release_of(notes: str) -> Release:
    """The record of the approval in the Report's output `release`; an empty one if it has none."""
    return read_release(f"{notes}/{EXTRA}") or Release()


def product(record: ModelRecord) -> str | None:
    """A digest of what a network was made of: images, settings, code; None for a record that does not say it."""
    if record.made_of is None:
        return None
    # Tuned values are only in the configuration.
    settings = {name: record.config.get(name) for name in DECISIVE}
    made = [asdict(record.made_of), settings]
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:32]


def withdrawn_models(destination: str) -> tuple[Withdrawn, ...]:
    """The models that runs must not push. Each push takes the list over, so the newest version that has one counts."""
    for version in versions(destination):
        try:
            release = read_release(f"{version.path}/{EXTRA}")
        except (DamagedRecord, OSError):
            continue
        if release is not None:
            return release.withdrawn
    return ()


def withdrawal(destination: str, model: str, *, known: str | None = None) -> Withdrawn | None:
    """The withdrawn model that the model in the folder `model` is; None if it may be pushed.

    Args:
      destination: the folder of versions.
      model: the folder of a model.
      known: the model's fingerprint, if it is known.
    """
    listed = withdrawn_models(destination)
    if not listed:
        return None
    return _match(listed, *identity(model, known=known))


def identity(model: str, *, known: str | None = None) -> tuple[str, str | None]:
    """The fingerprint of a model's files (`known`, if it is known), and its `product`."""
    try:
        made = product(read_model(f"{model}/{EXTRA}"))
    except (DamagedRecord, OSError):
        made = None
    return known or fingerprint(model), made


def _match(listed: Iterable[Withdrawn], files: str, made: str | None) -> Withdrawn | None:
    found = (each for each in listed if each.fingerprint == files or (made is not None and each.product == made))
    return next(found, None)
