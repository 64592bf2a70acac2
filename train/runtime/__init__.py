"""Processes and their numbers' precision."""
