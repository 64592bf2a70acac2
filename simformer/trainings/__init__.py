"""Trainings on data of one's own, begun from the page: which, where they lie, and the process that does them."""
