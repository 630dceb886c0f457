"""The Pusher: an approved model becomes the newest version in the folder that a model server reads."""
