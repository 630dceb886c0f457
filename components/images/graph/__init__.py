"""Decoding and preprocessing as TensorFlow graph code: the same in Transform, training, evaluation and serving."""
