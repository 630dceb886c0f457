"""Decoding and preprocessing as TensorFlow graph code, shared by Transform, training, evaluation and serving."""
