"""Contexts: what a program works in on a device, and what it is told of its resources."""
