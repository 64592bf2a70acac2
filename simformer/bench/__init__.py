"""Seconds and memory: of every network side by side, and of the page."""
