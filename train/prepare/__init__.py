"""Data sets as downloaded -> folder data sets, one file a data set."""
