"""TFX's Tuner calls `tuner_fn`; each trial is trained by the function that trains the candidate."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import attr
import keras
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner.component import TunerFnResult

from restem.run_record import Scores
from restem.trainer.config import PHASES, PhaseConfig, TrainConfig, refuse_choices_without_validation
from restem.trainer.input import read_split
from restem.trainer.model_config import StemConfig
from restem.trainer.module import (
    Setup,
    build_and_train,
    find_checkpoints,
    has_weights,
    read_classes,
    validation_files,
)
from restem.trainer.phases import predict, set_seed
from restem.trainer.precision import choose_precision
from restem.trainer.scores import score
from restem.trainer.scratch import Scratch
from restem.trainer.tuned import set_values
from restem.tuner.config import TuneConfig, Value
from restem.tuner.keys import SECTIONS
from restem.tuner.search import Search
from restem.tuner.trials import FinishedTrials, trial_key


def tuner_fn(fn_args: FnArgs) -> TunerFnResult:
    """Prepares the search.

    Args:
      fn_args: from TFX. Its `custom_config` is that of the candidate's Trainer without `config`, and has the section
        `tune`. `working_dir` is for KerasTuner's files.

    Raises:
      RestemError: there are no validation images.
    """
    custom = fn_args.custom_config
    tune = TuneConfig.model_validate(custom["tune"])
    setup = Setup.of(fn_args)
    set_seed(setup.train.seed, deterministic=setup.train.deterministic)
    classes = read_classes(fn_args.schema_path)
    scratch = Scratch(fn_args.working_dir)
    val = read_split(validation_files(fn_args), setup.image, scratch=scratch, name="validation images")
    if not val.count:
        refuse_choices_without_validation(setup.train, "tune")
    weighted = has_weights(fn_args.schema_path)
    train = read_split(fn_args.train_files, setup.image, weighted=weighted, scratch=scratch, name="training images")
    precision = choose_precision(setup.train.precision)
    checkpoints = find_checkpoints(_without_ranges(fn_args), setup.train.seed, precision).in_order(train.ordered)

    def measure(values: Mapping[str, Value]) -> Scores:
        """Scores of a candidate with these values. The seed is the same for all trials."""
        sections = set_values({name: custom[name] for name in SECTIONS}, values)
        settings = _at_most(TrainConfig.model_validate(sections["train"]), tune.epochs)
        settings = settings.model_copy(update={"precision": precision})
        changed = replace(setup, stem=StemConfig.model_validate(sections["stem"]), train=settings)
        set_seed(settings.seed, deterministic=settings.deterministic)
        try:
            network, _ = build_and_train(changed, classes, train, val, checkpoints.of_part(trial_key(values)))
            return score(val.labels, predict(network.model, val, settings.batch_size))
        finally:
            # Frees the memory for the next network in this process.
            keras.backend.clear_session()

    search = Search(
        tune,
        measure,
        metric=tune.metric or setup.train.metric,
        own={key: _get(custom, key) for key in tune.over},
        seed=setup.train.seed,
        finished=FinishedTrials(checkpoints.folder),
        folder=fn_args.working_dir,
        scratch=scratch,
    )
    return TunerFnResult(tuner=search, fit_kwargs={})


def _without_ranges(fn_args: FnArgs) -> FnArgs:
    """Those that decide the result of a trial with given values: a search of other ranges, or longer, reuses it."""
    custom = {name: value for name, value in fn_args.custom_config.items() if name != "tune"}
    custom |= {"role": "tune", "epochs": fn_args.custom_config["tune"]["epochs"]}
    return attr.evolve(fn_args, custom_config=custom)


def _at_most(config: TrainConfig, epochs: int | None) -> TrainConfig:
    """The section with at most so many epochs in each phase."""
    if epochs is None:
        return config

    def capped(phase: PhaseConfig) -> PhaseConfig:
        return phase.model_copy(update={"epochs": min(phase.epochs, epochs)})

    return config.model_copy(update={name: capped(getattr(config, name)) for name in PHASES})


def _get(sections: Mapping[str, Any], key: str) -> Any:
    """A key's value; None if it is not set."""
    value: Any = sections
    for part in key.split("."):
        value = value.get(part)
    return value
