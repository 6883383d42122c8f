"""Configurations of the NVML mock in NVIDIA's k8s-test-infra, as facts."""
