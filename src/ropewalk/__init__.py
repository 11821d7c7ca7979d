"""ropewalk: from raw text to a gated model with one typed recipe, one command and one trainer.

`ropewalk.load(path, overrides)` reads a recipe; `Recipe`, `Ref` and every component are importable from their own modules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Recipe", "Ref", "Run", "__version__", "load", "loads"]

if TYPE_CHECKING:
    from ropewalk.core.reference import Ref
    from ropewalk.pipeline.recipe import Recipe, load, loads
    from ropewalk.pipeline.runner import Run

_PLACES = {
    "Recipe": "ropewalk.pipeline.recipe",
    "Ref": "ropewalk.core.reference",
    "Run": "ropewalk.pipeline.runner",
    "load": "ropewalk.pipeline.recipe",
    "loads": "ropewalk.pipeline.recipe",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for, so that `import ropewalk` costs nothing."""
    if name not in _PLACES:
        raise AttributeError(f"module 'ropewalk' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PLACES[name]), name)
