"""Checks of one field in memory: what may be wrong with it."""
