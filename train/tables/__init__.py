"""Tables of many trainings: running them, where numbers come from, what is published, the tables of docs/results.md."""
