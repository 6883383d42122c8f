"""Devices: which a process sees, and what each is."""
