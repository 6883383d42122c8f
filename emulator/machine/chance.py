"""Chance that is the same in every run: numbers that follow from a seed and a count."""

from __future__ import annotations

__all__ = ["chance", "mix"]

WORD = (1 << 64) - 1


def chance(seed: int, count: int) -> float:
    """A number from 0 up to 1 that depends on nothing but these two: splitmix64's output."""
    return mix(seed * 0x9E3779B97F4A7C15 + count * 0xD1B54A32D192ED03) / (WORD + 1)


def mix(value: int) -> int:
    """One step of splitmix64: 64 bits that look random, out of 64 bits."""
    value = (value + 0x9E3779B97F4A7C15) & WORD
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & WORD
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & WORD
    return value ^ value >> 31
