"""What Restem needs from a machine: setup scripts, the doctor that checks it, TensorFlow's environment variables."""

# Set for every process that trains or serves, unless the user's environment overrides it.
# TensorFlow enables oneDNN's kernels by default only on processors with AVX-512. Without them a ResNet50 trains at a
# sixth of the speed (15 instead of 93 images of 32x32 per second on two cores of an AMD EPYC 7003).
TENSORFLOW_VARIABLES = {"TF_ENABLE_ONEDNN_OPTS": "1"}
