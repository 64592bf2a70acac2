"""Pseudo masks of other methods, made from the same classifier: what SimFormer is compared with."""
