"""Several models on the photos of one data set, as the paper's qualitative figures show them."""
