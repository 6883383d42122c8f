"""Images of device code: what cubins, fatbins and PTX say of their kernels and variables.

Reading only: nothing here knows contexts or handles. Every mistake of an image is an ImageError.
"""

from __future__ import annotations

from .error import ImageError
from .fetch import fetch
from .load import Target, load
from .merge import merged, parts
from .model import Image, Kernel, Parameter, Variable
from .writer import write

__all__ = [
    "Image",
    "ImageError",
    "Kernel",
    "Parameter",
    "Target",
    "Variable",
    "fetch",
    "load",
    "merged",
    "parts",
    "write",
]
