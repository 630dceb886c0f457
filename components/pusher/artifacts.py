"""What accompanies a model when it is pushed, as an artifact."""

from tfx.types.artifact import Artifact


class ReleaseNotes(Artifact):
    """A folder `assets.extra` with `release.json` (a `restem.pusher.release.Release`) and `model_card.md`."""

    TYPE_NAME = "restem.ReleaseNotes"
