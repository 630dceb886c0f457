"""Headers and pixels of the formats, read outside of TensorFlow: a file for each that has a reader of its own."""
