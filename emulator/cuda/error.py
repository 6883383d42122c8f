"""The exception that handlers raise."""

from __future__ import annotations

from ..api import ApiError

__all__ = ["CudaError"]


class CudaError(ApiError):
    """A CUresult to return, as in `raise CudaError(status.NO_DEVICE)`."""
