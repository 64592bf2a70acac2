"""Tables of many trainings: running them, where numbers come from, what is published, the README's tables."""
