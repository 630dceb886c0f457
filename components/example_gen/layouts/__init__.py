"""The supported layouts of images, one module each. A module lists the images and computes their fingerprint."""
