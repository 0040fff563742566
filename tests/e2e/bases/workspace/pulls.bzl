"""The names of what is pulled. The tests write it."""

BASES = []
