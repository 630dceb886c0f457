"""The mathematics of a new stem: pure functions on arrays, one file a rule, no Keras.

Kernels are [height, width, input channels, filters], biases [filters], as Keras stores them.
"""
