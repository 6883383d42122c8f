"""What the processes of a testbed hold, and what those that ended have held."""
