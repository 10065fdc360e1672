"""The model as a page and an interface on the web."""
