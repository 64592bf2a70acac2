"""The commands of python -m simformer, one a file."""
