"""Streams and events: the order in which work is done, and capturing it."""
