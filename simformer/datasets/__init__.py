"""Data sets: the folder layout, synthetic scenes, and the weak-shot training stream."""
