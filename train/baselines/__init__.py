"""Maps of classes that were learnt from image-level labels: CAM and what is built on it."""
