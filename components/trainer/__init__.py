"""The Trainer: a pretrained ResNet with a modified stem and a new head, trained in phases and exported for serving."""
