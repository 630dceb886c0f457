"""The images of a split, for training and for evaluation.

Whatever engine wrote the examples, with whatever parallelism and into whatever files: the order of the images depends
on their paths alone, and so do the weights that a training with a seed gives. Decoded images are kept in memory up to
`CACHE_BYTES`. A training on more copies the encoded ones to a temporary file, from which they are read in any order:
the examples' own files are compressed as a whole, and can only be read from the start.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import tensorflow as tf

from restem.images.config import ImageConfig
from restem.images.graph.preprocess import preprocess_marked_one, preprocess_one
from restem.images.graph.statistics import ChannelSums, channel_sums, mean_and_std
from restem.images.graph.stored import decode_missing, decode_pixels
from restem.trainer.scratch import Scratch
from restem.trainer.variables import CACHE_BYTES

# So many encoded images are read from the copy in one call, of Python, by so many threads.
READ_AT_ONCE, READERS = 16, 4
# Where there is no room for a copy, encoded images are shuffled as they pass, so many bytes of them at once.
# Ingestion has already put them into a random order, so this need not be all of them.
SHUFFLED_BYTES = 128 * 2**20


@dataclass(frozen=True, eq=False)
class Split:
    """One split of examples, in a fixed order.

    Attributes:
      encoded: string [], unbatched, in the order of the files.
      decode: one element of `encoded` to pixels, uint8 or uint16 [height, width, channels].
      labels: int64 [count].
      paths: unicode [count].
      weights: in training, float32 [count]; none: every example counts the same.
      in_memory: whether all decoded pixels are kept in memory.
      read: otherwise, elements of `encoded` [n] by their positions in the split, int64 [n]; none: they are read in the
        order of the files.
      shuffled: then, how many images are shuffled at once; none: all.
      places: of each element of `encoded`, its position in the split, int64 [count]; none: they are in this order.
      marked: pixels, and which of them have no data, bool of the same shape, unbatched; none: all have data.
      scratch: the disk space for what is computed of the images, where it is large; none: the system's.
    """

    encoded: tf.data.Dataset
    decode: Callable[[tf.Tensor], tf.Tensor]
    labels: np.ndarray
    paths: np.ndarray
    weights: np.ndarray | None = None
    in_memory: bool = True
    read: Callable[[tf.Tensor], tf.Tensor] | None = None
    shuffled: int | None = None
    places: np.ndarray | None = None
    marked: tf.data.Dataset | None = None
    scratch: Scratch | None = None

    @property
    def count(self) -> int:
        """The number of examples."""
        return len(self.labels)

    @property
    def ordered(self) -> bool:
        """Whether the order depends on the images' paths alone."""
        return self.in_memory or self.read is not None

    @cached_property
    def images(self) -> tf.data.Dataset:
        """Pixels, uint8 or uint16 [height, width, channels], unbatched."""
        if self.in_memory:
            return tf.data.Dataset.from_tensor_slices(self._pixels)
        if self.read is not None:
            return self._read_and_decoded((np.arange(self.count),)).map(lambda pixels: pixels)
        return self.encoded.map(self.decode, num_parallel_calls=tf.data.AUTOTUNE)

    def _read_and_decoded(self, columns: tuple[np.ndarray, ...]) -> tf.data.Dataset:
        """Images at the positions in the first column, unbatched, with their rows of the others."""
        read = self.read
        assert read is not None
        groups = tf.data.Dataset.from_tensor_slices(columns).batch(READ_AT_ONCE)
        rows = groups.map(lambda positions, *rest: (read(positions), *rest), num_parallel_calls=READERS).unbatch()
        images = rows.map(lambda encoded, *rest: (self.decode(encoded), *rest), num_parallel_calls=tf.data.AUTOTUNE)
        return images.apply(tf.data.experimental.assert_cardinality(len(columns[0])))

    @cached_property
    def _pixels(self) -> tf.Tensor:
        decoded = self.encoded.map(self.decode, num_parallel_calls=tf.data.AUTOTUNE)
        shape, dtype = decoded.element_spec.shape, decoded.element_spec.dtype
        pixels, done = np.empty([self.count, *shape], dtype.as_numpy_dtype), 0
        for batch in decoded.batch(256).as_numpy_iterator():
            pixels[self._places[done : done + len(batch)]] = batch
            done += len(batch)
        with tf.device("CPU"):
            return tf.convert_to_tensor(pixels)

    @cached_property
    def _places(self) -> np.ndarray:
        return np.arange(self.count) if self.places is None else self.places

    def pixels(self, batch_size: int) -> tf.data.Dataset:
        """The images as a network takes them, float32 [batch, height, width, channels]."""
        batches = self.images.batch(batch_size).map(lambda pixels: tf.cast(pixels, tf.float32))
        return batches.prefetch(tf.data.AUTOTUNE)

    def order(self, seed: int, epoch: int, repeats: np.ndarray | None = None) -> np.ndarray:
        """A random order of one epoch's images, which depends on seed and epoch alone: positions, int64."""
        once = np.arange(self.count)
        return np.random.default_rng((seed, epoch)).permutation(once if repeats is None else np.repeat(once, repeats))

    def epoch(
        self,
        batch_size: int,
        *,
        seed: int,
        epoch: int,
        skip: int = 0,
        repeats: np.ndarray | None = None,
        weights: np.ndarray | None = None,
    ) -> tf.data.Dataset:
        """One pass over the images in a random order, which depends on seed and epoch alone.

        Args:
          batch_size: images in a batch; the last batch may be smaller.
          seed, epoch: other numbers give another order.
          skip: leaves out the first batches: a training that was interrupted goes on after them.
          repeats: how often each image occurs, int64 [count]; none: once.
          weights: float32 [count], in place of the examples' own.

        Returns:
          Pixels uint8 or uint16 [batch, height, width, channels], labels int64 [batch], and, where there are any,
          weights float32 [batch].
        """
        weights = self.weights if weights is None else weights
        columns = (self.labels,) if weights is None else (self.labels, weights)
        return self._in_random_order(batch_size, seed, epoch, skip, repeats, columns, decode=True)

    def paths_of_batch(
        self, batch_size: int, *, seed: int, epoch: int, step: int, repeats: np.ndarray | None = None
    ) -> list[str]:
        """The files in one batch of `epoch`, which is number `step`, counted from 0."""
        index = (np.arange(self.count),)
        batches = self._in_random_order(batch_size, seed, epoch, step, repeats, index, decode=False)
        _, positions = next(iter(batches))
        return self.paths[positions.numpy()].tolist()

    def _in_random_order(
        self,
        batch_size: int,
        seed: int,
        epoch: int,
        skip: int,
        repeats: np.ndarray | None,
        columns: tuple[np.ndarray, ...],
        *,
        decode: bool,
    ) -> tf.data.Dataset:
        if self.ordered:
            order = self.order(seed, epoch, repeats)[skip * batch_size :]
            taken = (order, *(column[order] for column in columns))
            if decode and not self.in_memory:
                return self._read_and_decoded(taken).batch(batch_size).prefetch(tf.data.AUTOTUNE)
            batches = tf.data.Dataset.from_tensor_slices(taken).batch(batch_size)
            if decode:
                pixels = self._pixels
                batches = batches.map(lambda order, *rest: (tf.gather(pixels, order), *rest))
            return batches.prefetch(tf.data.AUTOTUNE)
        repeats = np.ones(self.count, np.int64) if repeats is None else repeats
        examples = tf.data.Dataset.zip(self.encoded, tf.data.Dataset.from_tensor_slices((repeats, *columns)))
        examples = examples.flat_map(
            lambda encoded, row: tf.data.Dataset.from_tensors((encoded, *row[1:])).repeat(row[0])
        )
        shuffled = examples.shuffle(
            min(int(repeats.sum()), self.shuffled or self.count),
            seed=int(np.random.default_rng((seed, epoch)).integers(2**31)),
            reshuffle_each_iteration=False,
        ).skip(skip * batch_size)
        if decode:
            shuffled = shuffled.map(
                lambda encoded, *row: (self.decode(encoded), *row), num_parallel_calls=tf.data.AUTOTUNE
            )
        # Without the number of batches, Keras warns at the end of each epoch that the images ran out.
        count = -(-int(repeats.sum()) // batch_size) - skip
        batches = shuffled.batch(batch_size).apply(tf.data.experimental.assert_cardinality(count))
        return batches.prefetch(tf.data.AUTOTUNE)

    def first(self, count: int) -> "Split":
        """The first images."""
        if count >= self.count:
            return self
        weights = None if self.weights is None else self.weights[:count]
        kept = self._places < count

        def part(dataset: tf.data.Dataset) -> tf.data.Dataset:
            return dataset.take(count) if self.places is None else _only(dataset, kept)

        return replace(
            self,
            encoded=part(self.encoded),
            labels=self.labels[:count],
            paths=self.paths[:count],
            weights=weights,
            places=None if self.places is None else self._places[kept],
            marked=None if self.marked is None else part(self.marked),
        )

    def sample(self, count: int, seed: int) -> np.ndarray:
        """Some images of the whole split, [up to count, height, width, channels]; the same for the same seed."""
        return self.at(np.random.default_rng(seed).permutation(self.count)[:count])

    def at(self, chosen: np.ndarray) -> np.ndarray:
        """The images at these positions, [len(chosen), height, width, channels], in the split's order."""
        if self.read is not None:
            return np.stack([pixels for (pixels,) in self._read_and_decoded((np.unique(chosen),)).as_numpy_iterator()])
        wanted = np.isin(self._places, chosen)
        pixels = np.stack(list(_only(self.encoded, wanted).map(self.decode).as_numpy_iterator()))
        return pixels[np.argsort(self._places[wanted])]

    def channel_statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """The channels' mean and standard deviation in grey levels, float64 [channels] each; one pass over the images.

        The sums are whole numbers: the same in any order. Pixels without data are left out (image.nodata).
        """
        sums = (
            (self.images if self.marked is None else self.marked)
            .batch(32)
            .map(
                lambda *images: tuple(tf.reduce_sum(part, axis=0) for part in channel_sums(*images)),
                num_parallel_calls=tf.data.AUTOTUNE,
            )
        )
        total = ChannelSums(*(sum(part) for part in zip(*sums.as_numpy_iterator(), strict=True)))
        return mean_and_std(total)


def read_split(
    files: Sequence[str],
    image: ImageConfig,
    *,
    weighted: bool = False,
    scratch: Scratch | None = None,
    name: str = "images",
) -> Split:
    """Reads one split: transformed examples, or, with `image.store: none`, raw ones.

    Args:
      files: gzip TFRecord files, or patterns of them.
      image: the pixels' size, type and how they are stored.
      weighted: whether the examples have weights.
      scratch: for a copy of the images, where there are many; none, or without room there: the order of these is that
        of the files. Their features go there too.
      name: of the images, in the plural, for the log.

    Raises:
      RestemError: there is no room for a copy, and it is required.
    """
    encoded = "image_bytes" if image.store == "none" else "pixels"
    decode = preprocess_one if image.store == "none" else decode_pixels
    columns = {
        "label_index": tf.io.FixedLenFeature([], tf.int64),
        "path": tf.io.FixedLenFeature([], tf.string),
        **({"weight": tf.io.FixedLenFeature([], tf.float32)} if weighted else {}),
    }
    image_column = {encoded: tf.io.FixedLenFeature([], tf.string)}
    found = sorted(file for pattern in files for file in tf.io.gfile.glob(pattern))
    records = tf.data.TFRecordDataset(found, compression_type="GZIP")

    def read_facts(record: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_single_example(record, {**columns, **image_column})
        size = tf.cast(tf.strings.length(parsed[encoded]), tf.int64)
        return {**{column: parsed[column] for column in columns}, "size": size}

    # The images themselves are dropped one by one: a thousand raw photographs would take gigabytes.
    facts = records.map(read_facts, num_parallel_calls=tf.data.AUTOTUNE)
    batches = list(facts.batch(1024).as_numpy_iterator())
    known = {column: np.concatenate([batch[column] for batch in batches]) for column in batches[0]} if batches else None
    count = len(known["size"]) if known else 0
    in_memory = count * image.height * image.width * image.count * image.bits // 8 <= CACHE_BYTES
    strings = records.map(
        lambda record: tf.io.parse_single_example(record, image_column)[encoded], num_parallel_calls=tf.data.AUTOTUNE
    )
    rows = places = None
    if known:
        order = _order_of(known["path"], known["label_index"])
        if not in_memory and scratch is not None:
            batched = strings.batch(16).prefetch(1).as_numpy_iterator()
            rows = scratch.rows(name, (one for batch in batched for one in batch), known["size"], order)
        if in_memory or rows:
            known = {column: values[order] for column, values in known.items()}
            places = np.empty(count, np.int64)
            places[order] = np.arange(count)

    def read_marked(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if image.store == "none":
            return preprocess_marked_one(tf.io.parse_single_example(record, image_column)[encoded], image)
        parsed = tf.io.parse_single_example(record, {**image_column, "missing": tf.io.FixedLenFeature([], tf.string)})
        return decode_pixels(parsed[encoded], image), decode_missing(parsed["missing"], image)

    return Split(
        encoded=strings,
        decode=lambda one: decode(one, image),
        labels=known["label_index"] if known else np.zeros(0, np.int64),
        paths=np.array([path.decode() for path in known["path"]] if known else [], str),
        weights=known["weight"] if known and weighted else None,
        in_memory=in_memory,
        read=None if rows is None else rows.read,
        shuffled=max(1, int(SHUFFLED_BYTES / max(1, known["size"].mean()))) if known else None,
        places=places,
        marked=None if image.nodata is None else records.map(read_marked, num_parallel_calls=tf.data.AUTOTUNE),
        scratch=scratch,
    )


def _only(dataset: tf.data.Dataset, wanted: np.ndarray) -> tf.data.Dataset:
    """The elements at which `wanted`, bool [count], is true."""
    marked = tf.data.Dataset.zip(dataset, tf.data.Dataset.from_tensor_slices(wanted))
    return marked.filter(lambda *both: both[-1]).map(lambda *both: both[0])


def _order_of(paths: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """An order of examples that depends on their paths (bytes) alone, and mixes classes: positions, int64 [count]."""
    digests = np.array([int.from_bytes(hashlib.blake2b(path, digest_size=8).digest()) for path in paths], np.uint64)
    return np.lexsort((labels, digests))


def arrays_as_split(
    values: np.ndarray, labels: np.ndarray, paths: np.ndarray, weights: np.ndarray | None = None
) -> Split:
    """A split of arrays: images, or a network's features of them; [count, ...]. A np.memmap stays in its file."""
    if not isinstance(values, np.memmap):
        return Split(tf.data.Dataset.from_tensor_slices(values), lambda one: one, labels, paths, weights)
    dtype = tf.as_dtype(values.dtype)

    def read(positions: tf.Tensor) -> tf.Tensor:
        rows = tf.numpy_function(lambda chosen: np.array(values[chosen]), [positions], dtype)
        return tf.ensure_shape(rows, [None, *values.shape[1:]])

    encoded = tf.data.Dataset.range(len(values)).batch(READ_AT_ONCE).map(read).unbatch()
    return Split(encoded, lambda one: one, labels, paths, weights, in_memory=False, read=read)
