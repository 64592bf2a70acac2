"""RETAB: maps of a classifier, spread by affinity within boundaries."""
