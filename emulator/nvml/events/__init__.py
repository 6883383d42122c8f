"""Events: those of a device, of the system, and operational ones."""
