"""Tells people and programs how a run ended: by a webhook, and by a command."""
