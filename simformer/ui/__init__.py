"""The page: one folder a tab, and what tabs share in parts. Nothing here imports torch before it is needed, so that the
page is up at once.
"""
