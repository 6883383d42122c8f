"""GPUs that are divided by MIG: profiles, where instances are placed, what each has."""
