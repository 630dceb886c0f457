"""The gate's terms, for the configuration too, which must load quickly."""

from typing import Literal, get_args

Metric = Literal["accuracy", "balanced_accuracy", "macro_f1"]
ACCURACY, BALANCED, MACRO_F1 = METRICS = get_args(Metric)

EACH_SIDE = 0.95  # the confidence of each end of an interval, one-sided, unless another one is asked for
POWER = 0.8  # the chance with which a proposed number of images decides

# What images are divided by, besides the columns of data.metadata.
CLASS, FORMAT, IMAGE_SIZE = BUILT_IN_COLUMNS = ("class", "format", "image_size")
ENOUGH_IMAGES = 30  # a slice with fewer images is shown, and nothing is said about it
