"""NumPy at its first use: a command that computes nothing, such as a backup without changes, starts without it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:

    class _Later:
        """Stands for a module until something of it is wanted."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the module has
            module = importlib.import_module(self._name)
            self.__dict__.update(vars(module))
            return getattr(module, name)

    np = _Later("numpy")
    NDArray = "numpy.typing.NDArray"  # named in annotations only, which nobody evaluates

__all__ = ["NDArray", "np"]
