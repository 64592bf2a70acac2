"""Commands beside training: timing, and trials of a teacher."""
