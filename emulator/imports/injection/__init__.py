"""Machines in the format of DCGM's NVML injection, as captures."""
