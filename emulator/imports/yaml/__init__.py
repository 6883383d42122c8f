"""YAML with the lines that it stands on."""
