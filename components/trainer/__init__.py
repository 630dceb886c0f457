"""The Trainer: a pretrained ResNet with a modified stem, a new head, trained in phases, exported for serving."""
