"""The Transform step: encoded images to pixels of the model's size and channels, and what is learned on the way."""
