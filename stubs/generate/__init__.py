"""The generator: NVIDIA's headers and recorded symbol tables in, API descriptions and code out."""
