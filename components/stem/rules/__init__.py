"""The mathematics of a new stem: pure functions on arrays, one file per rule, without Keras.

Kernels are [height, width, input channels, filters], biases [filters], as Keras stores them.
"""
