"""Errors whose text is one sentence that a user can act on."""

from __future__ import annotations


class SimFormerError(ValueError):
    """A problem that the user can solve; its text says what is wrong and where."""


class ImageError(SimFormerError):
    """A photo that cannot be read, or is too large."""


class DatasetError(SimFormerError):
    """A data set whose files are missing or contradict each other."""


class CheckpointError(SimFormerError):
    """A weights file that is missing, damaged, or does not fit its network."""


class ConfigError(SimFormerError):
    """A setting that is unknown, out of range, or contradicts another."""


class UnknownClassError(SimFormerError):
    """A class name or index that the model or data set does not have."""
