"""The commands of python -m simformer, one a file: what they read and print. The work is done elsewhere."""
