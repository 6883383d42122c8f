"""What is told of real machines, and the scenarios that come of it.

nvidia-smi's output, the neighbours' formats and captures are read into facts (`facts`): which
figure of which GPU is told to be what, and where. `making` makes a scenario of facts. Nothing is
run here.
"""

from __future__ import annotations
