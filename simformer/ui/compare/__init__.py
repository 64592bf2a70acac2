"""The tab that compares models photo by photo."""
