"""Graphs: work that is described first and done later, any number of times."""
