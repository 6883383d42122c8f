"""Captures: their file format, what they answer, and the scenarios that replay them."""
