"""Classifies files with a pushed model, in a worker process: in batches, and into a table that can be gone on with."""

import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from restem.errors import RestemError
from restem.pipeline.local.prediction_table import PredictionTable

BATCH = 32
READERS = 4  # threads that read and convert files
PROGRESS_SECONDS = 5.0
# TensorFlow and Keras import them if they are there, which takes seconds; a prediction needs none of them.
NOT_NEEDED = ("jax", "sklearn", "pandas", "IPython", "matplotlib")

Emit = Callable[[dict], None]
Answer = dict[str, Any]


def predict(request: dict, emit: Emit) -> list[Answer] | dict[str, int]:
    """Classifies files.

    Args:
        request: `model` (a folder), `images` (paths), `classes` (their names, or None if they are not known),
            `max_bytes` (of a file), `out` (the CSV to write, or None) and `fingerprint` (of the model).
        emit: takes the progress: {"event": "progress", "done", "total", "failed", "kept", "seconds"}.

    Returns:
        Without `out` one object per image: `path`, `label`, and `scores` (class name to probability, the most probable
        classes, sorted); or `path` and `error` for a file that the model cannot read. With `out` the counts `images`,
        `failed`, and `kept`: of an earlier call that was interrupted.

    Raises:
        RestemError: the model cannot be loaded, or the table cannot be written.
    """
    classifier = Classifier(request["model"], request["classes"], request["max_bytes"])
    images, out = request["images"], request["out"]
    if out is None:
        return list(_with_progress(classifier.classify(images), len(images), 0, emit))
    with closing(PredictionTable(Path(out), request["fingerprint"], classifier.columns)) as table:
        kept = table.resume(images)
        left = [path for path in images if path not in kept]
        failed = 0
        for answer in _with_progress(classifier.classify(left), len(images), len(kept), emit):
            failed += "error" in answer
            table.add(answer)
        table.finish()
    return {"images": len(images), "failed": failed, "kept": len(kept)}


def import_less() -> None:
    """Lets imports of `NOT_NEEDED` fail in this process: TensorFlow and Keras then start in two thirds of the time."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    for name in NOT_NEEDED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


def _with_progress(answers: Iterator[Answer], total: int, kept: int, emit: Emit) -> Iterator[Answer]:
    start = last = time.monotonic()
    failed = 0
    for count, answer in enumerate(answers, 1):
        failed += "error" in answer
        yield answer
        now = time.monotonic()
        if now - last >= PROGRESS_SECONDS:
            last = now
            told = {"done": kept + count, "total": total, "failed": failed, "kept": kept, "seconds": now - start}
            emit({"event": "progress", **told})


class Classifier:
    """A loaded model.

    Attributes:
        columns: the classes whose probabilities are answered, all of them; empty if they are not known.
    """

    def __init__(self, folder: str, classes: Sequence[str] | None, max_bytes: int) -> None:
        """Loads the model.

        Raises:
            RestemError: it cannot be loaded, or does not answer as a model of this project.
        """
        import tensorflow as tf

        from restem.images import array_axes, dicom_reading, nodata_rule

        self._tf = tf
        try:
            self._dicom, self._axes, self._nodata = dicom_reading(folder), array_axes(folder), nodata_rule(folder)
        except (OSError, ValueError, KeyError):  # It has no record of its configuration: DICOM files are refused.
            self._dicom, self._axes, self._nodata = None, "hwc", None
        self._max_bytes = max_bytes
        try:
            self._model = tf.saved_model.load(folder)
            self._serve = self._model.signatures["serving_default"]
            given = set(self._serve.structured_input_signature[1])
            made = self._serve.structured_outputs
        except Exception as error:  # damaged files raise anything
            lines = str(error).strip().splitlines() or [""]
            raise RestemError(
                "the model cannot be loaded",
                where=folder,
                expected="a SavedModel with the signature serving_default",
                given=f"{type(error).__name__}: {lines[0][:300]}",
                remedy="Is it complete? Take another version, or push it again",
            ) from None
        lacking = sorted({"label", "labels", "scores"} - set(made))
        width = made["probabilities"].shape[-1] if "probabilities" in made else None
        if given != {"image_bytes"} or lacking or (classes is not None and width != len(classes)):
            raise RestemError(
                "the model does not answer as a model of this project",
                where=folder,
                expected="the input image_bytes, and label, labels, scores and the probability of each class",
                given=f"the input {', '.join(sorted(given)) or 'none'}, the outputs {', '.join(sorted(made)) or 'none'}"
                + (f", {width} probabilities for {len(classes)} classes" if classes is not None else ""),
            )
        self.columns = tuple(classes or ())

    def classify(self, paths: Sequence[str]) -> Iterator[Answer]:
        """One answer per file, in order. While the model works, threads read the next batch."""
        with ThreadPoolExecutor(READERS) as readers:
            waiting: list[tuple[Sequence[str], list[Future]]] = []
            for start in range(0, len(paths), BATCH):
                batch = paths[start : start + BATCH]
                waiting.append((batch, [readers.submit(self._encode, path) for path in batch]))
                if len(waiting) > 1:
                    yield from self._answer(*waiting.pop(0))
            for batch, encoded in waiting:
                yield from self._answer(batch, encoded)

    def _encode(self, path: str) -> bytes | str:
        """What the model takes for a file, or why it cannot be read."""
        from restem.images import encode_for_serving

        try:
            found = os.stat(path)
            if not stat.S_ISREG(found.st_mode):  # reading a pipe would wait for ever
                return "It is neither a file nor a folder."
            if found.st_size > self._max_bytes:
                return f"The file has {found.st_size:,} bytes; the limit is data.max_bytes ({self._max_bytes:,})."
            return encode_for_serving(path, self._dicom, array_axes=self._axes, nodata=self._nodata)
        except Exception as error:  # a single file ends nothing
            return why_unreadable(path, error)

    def _answer(self, paths: Sequence[str], encoded: Sequence[Future]) -> Iterator[Answer]:
        found = [one.result() for one in encoded]
        readable = [(path, data) for path, data in zip(paths, found, strict=True) if isinstance(data, bytes)]
        answers = {answer["path"]: answer for answer in self._serve_all(readable)}
        for path, data in zip(paths, found, strict=True):
            yield {"path": path, "error": data} if isinstance(data, str) else answers[path]

    def _serve_all(self, files: list[tuple[str, bytes]]) -> list[Answer]:
        """The answers for a batch; one bad file makes the whole batch fail, so halves are tried."""
        if not files:
            return []
        try:
            answer = self._serve(image_bytes=self._tf.constant([data for _, data in files]))
        except Exception as error:  # of TensorFlow, and text errors of messages with raw bytes
            if len(files) == 1:
                return [{"path": files[0][0], "error": why_unreadable(files[0][0], error)}]
            half = len(files) // 2
            return self._serve_all(files[:half]) + self._serve_all(files[half:])
        made = {name: value.numpy() for name, value in answer.items()}
        return [self._one(path, at, made) for at, (path, _) in enumerate(files)]

    def _one(self, path: str, at: int, made: dict[str, Any]) -> Answer:
        names = [name.decode(errors="replace") for name in made["labels"][at]]
        answer: Answer = {
            "path": path,
            "label": made["label"][at].decode(errors="replace"),
            "scores": {name: float(score) for name, score in zip(names, made["scores"][at], strict=True)},
        }
        if self.columns:
            answer["probabilities"] = [float(value) for value in made["probabilities"][at]]
        return answer


def why_unreadable(path: str, error: Exception) -> str:
    """Why the model could not read a file, as a sentence about its header, the model's own check, or its data.

    Args:
        path: the file.
        error: the exception from TensorFlow or from opening the file.
    """
    from restem.images.formats.pillow import explain_failure
    from restem.images.header import UnreadableImage
    from restem.images.probe import probe

    if isinstance(error, UnreadableImage):
        return str(error)
    try:
        data = Path(path).read_bytes()
        header = probe(data, max_pixels=sys.maxsize, max_bytes=sys.maxsize)
    except UnreadableImage as reason:
        return str(reason)
    except OSError as reason:
        return f"The file cannot be read: {reason.strerror}."
    checked = re.search(r"assertion failed: \[(.*?)\]\s*$", str(error), re.MULTILINE)
    return checked[1] if checked else explain_failure(data, header.format)
