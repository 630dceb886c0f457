"""Restem: one folder per pipeline step; each can be imported without the others."""
