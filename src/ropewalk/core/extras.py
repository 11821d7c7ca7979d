"""Optional packages: their version, which belongs in a key, or the error that says which extra brings them."""

from __future__ import annotations

from importlib import metadata

from ropewalk.core.errors import MissingExtra


def extra_version(package: str, extra: str, what: str) -> str:
    """The version of an installed package; MissingExtra where it is not there. Imports nothing."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        raise MissingExtra(f"{what} needs the package {package}", remedy=f"pip install 'ropewalk[{extra}]'") from None
