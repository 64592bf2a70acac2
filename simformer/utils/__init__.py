"""Files, images, colors, and sentences about bad input: no word of segmentation here."""
