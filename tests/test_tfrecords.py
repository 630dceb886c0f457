import gzip

import apache_beam as beam
import numpy as np
import tensorflow as tf

from restem.tfrecords import WriteStoredTFRecords


def test_tensorflow_and_beam_read_the_files_and_nothing_is_deflated(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (50, 2000), np.uint8)
    records = [b"", *(row.tobytes() for row in noise)]
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        _ = pipeline | beam.Create(records, reshuffle=False) | WriteStoredTFRecords(str(tmp_path / "data"))
    (file,) = tmp_path.iterdir()
    assert file.name == "data-00000-of-00001.gz"
    read = list(tf.data.TFRecordDataset(str(file), compression_type="GZIP").as_numpy_iterator())
    assert read == records
    content = gzip.decompress(file.read_bytes())
    # Framing takes 16 bytes per record; gzip adds its header, its checksum, and five bytes per stored block.
    assert len(content) == sum(len(record) + 16 for record in records)
    assert len(content) < file.stat().st_size < 1.01 * len(content) + 100

    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        found = pipeline | beam.io.ReadFromTFRecord(str(tmp_path / "data-*")) | beam.combiners.Count.Globally()
        _ = found | beam.Map(str) | beam.io.WriteToText(str(tmp_path / "count"), shard_name_template="")
    assert (tmp_path / "count").read_text().strip() == str(len(records))
