"""A journey as pictures and as a page."""
