"""The version of nvemu."""

__version__ = "0.1.0"
