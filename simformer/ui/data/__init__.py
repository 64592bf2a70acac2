"""The tab of one's own data: truth beside predictions."""
