"""NVLinks and what else connects GPUs: states, counters, the fabric, the topology."""
