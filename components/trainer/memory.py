"""Too little memory in a training, explained."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from restem.errors import RestemError
from restem.exhausted import MIB, ran_out_of_memory


@contextmanager
def memory_errors_explained(phase: str, batch_size: int, size: Sequence[int]) -> Iterator[None]:
    """Within it, a lack of memory becomes an error that says what to change.

    Args:
      phase: "head", "stem", "all" or "pretrain".
      batch_size: images in a step.
      size: of an image: height, width, channels.

    Raises:
      RestemError: there is too little memory for a step.
    """
    try:
        yield
    except Exception as error:
        if not ran_out_of_memory(error):
            raise
        raise out_of_memory(phase, batch_size, size, device_memory()) from error


def out_of_memory(phase: str, batch_size: int, size: Sequence[int], device: str) -> RestemError:
    """The error for a step that does not fit.

    How much a step needs is not known before it fits: the proposal is the next smaller power of two.
    """
    image = " x ".join(str(side) for side in size[:2])
    smaller = 1 << max(batch_size - 1, 1).bit_length() - 1
    remedy = f"Try train.batch_size: {smaller}" if batch_size > 1 else "A smaller image.size needs less"
    return RestemError(
        f"there is too little memory for a training step{device}",
        where=f"phase {phase}",
        given=f"a batch size of {batch_size} with images of {image} pixels",
        remedy=f"{remedy}; whether it fits is known only when it runs"
        + (". A smaller image.size, and on a GPU train.precision: auto, need less as well" if batch_size > 1 else ""),
    )


def device_memory() -> str:
    """The memory that TensorFlow has used at most on the GPU, as the end of a sentence; empty without one."""
    import tensorflow as tf

    if not tf.config.list_logical_devices("GPU"):
        return ""
    try:
        peak = tf.config.experimental.get_memory_info("GPU:0")["peak"]
    except (ValueError, tf.errors.OpError):  # a device that does not count
        return ""
    return f" (up to {peak / MIB:,.0f} MiB were in use on the GPU)"
