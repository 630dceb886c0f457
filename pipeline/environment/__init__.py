"""What Restem needs of a machine: the set-up scripts, the doctor that says what was found, TensorFlow's switches."""

# Set for every process that trains or serves, unless the user's environment says otherwise.
# oneDNN's kernels are TensorFlow's default only on processors with AVX-512: without them a ResNet50 trains at a sixth
# of the speed (15 against 93 images of 32x32 a second on two cores of an AMD EPYC 7003).
TENSORFLOW_VARIABLES = {"TF_ENABLE_ONEDNN_OPTS": "1"}
