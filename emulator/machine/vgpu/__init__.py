"""Virtual GPUs: the types a product has, where they are placed, those that run."""
