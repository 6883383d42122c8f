"""What connects GPUs: NVLinks, the fabric, the topology of the machine, peers."""
