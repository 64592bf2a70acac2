"""Segmenting many photos: finding them, running them, their files, their comparison with the truth, a Ray cluster."""
