"""Processes, their numbers' precision, and what they say on a console."""
