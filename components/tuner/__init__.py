"""The optional Tuner step: tries values of some configuration keys, and measures them on the validation images."""
