"""What makes a model: configuration, the loop, sweeps. Imports simformer, never the other way."""
