"""What a GPU does over time: its load, and how its figures follow it."""
