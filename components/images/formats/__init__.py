"""Readers for headers and pixels outside TensorFlow: one file per library or format."""
