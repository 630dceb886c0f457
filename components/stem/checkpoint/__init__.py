"""What a checkpoint file holds, read from its bytes: nothing in it is executed, and nothing is written.

formats.py   what kind of file it is, by content; those that are not read are called by their name
hdf5.py      the tensors in an HDF5 file or in the archive of a .keras file, with limits
config.py    the model's configuration in JSON, of Keras 2 and 3, as plain layers
layout.py    the layers, settings and shapes of the stock networks
form.py      the same for ResNets in PyTorch's form
pytorch.py   checkpoints of torchvision and timm
state.py     the names in a state dict, turned into torchvision's
state_file.py  its tensors, from safetensors or a file of torch.save
hub.py       presets of KerasHub's ResNetBackbone
names.py     the names that Keras gave to the layers of its ResNets over the years
match.py     which tensor belongs to which layer
layers_without.py  what the padding and pooling layers beside weights alone say of the network
settings.py  where the file's network differs from the stock one
front.py     what the layers in front of the ResNet do to the pixels
operations.py  arithmetic in front of it, as preprocess_input leaves it
head.py      what stands behind it
whole.py, weights.py, examine.py, examined.py
             all of this together: for whole models, for weights alone, for any file; and its result
values.py    the values of the weights, refused if they are impossible
summary.py   the result for people and for programs
"""
