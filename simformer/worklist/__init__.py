"""From a plan to work: which photos to draw masks in, most useful first, as tasks of annotation tools."""
