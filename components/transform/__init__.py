"""The Transform step: converts encoded images to pixels with the model's size and channels."""
