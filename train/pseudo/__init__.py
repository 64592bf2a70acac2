"""Pseudo masks and the teacher of similarity: what a training learns from that nobody drew."""
