"""Models of the Hugging Face hub: from its cache on this machine, or downloaded into it; never a pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ropewalk.core.errors import DataError, MissingExtra, NetworkError

_WANTED = ("*.safetensors", "*.json", "*.jinja", "merges.txt")


def downloaded(name: str) -> Path:
    """The folder of `OWNER/NAME` or `OWNER/NAME@REVISION`; raises NetworkError where it can't be fetched."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
    except ImportError:
        raise MissingExtra(f"hf:{name} needs the package huggingface_hub", remedy="pip install 'ropewalk[hf]'") from None
    repository, _, revision = name.partition("@")
    options: dict[str, Any] = {"revision": revision or None, "allow_patterns": list(_WANTED)}
    try:
        return Path(snapshot_download(repository, local_files_only=True, **options))
    except HFValidationError as error:
        raise DataError(f"hf:{name}: {error}", remedy="write hf:OWNER/NAME, or hf:OWNER/NAME@REVISION") from None
    except LocalEntryNotFoundError:
        pass
    try:
        return Path(snapshot_download(repository, **options))
    except Exception as error:  # the library passes on what its transport raises
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        remedy = "see that the name is right and the hub can be reached, or name a folder: path:FOLDER"
        raise NetworkError(f"hf:{name}: can't be fetched: {reason}", remedy=remedy) from None
