"""SimFormer: weak-shot semantic segmentation by dual similarity transfer."""

__version__ = "0.1.0"
