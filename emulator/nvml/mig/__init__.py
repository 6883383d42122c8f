"""MIG: the mode, GPU instances, compute instances, the devices they make."""
