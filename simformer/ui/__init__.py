"""The page: one file a tab. Nothing here imports torch before it is needed, so that the page is up at once."""
