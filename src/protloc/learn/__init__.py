"""Fitting a network to the fields of a store."""
