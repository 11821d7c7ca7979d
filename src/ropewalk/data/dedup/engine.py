"""Which kernel signs: the compiled one, or torch's on a device. Both give the same bits."""

from __future__ import annotations

from ropewalk.core.errors import MissingExtra
from ropewalk.hardware.device import pick_device


def pick_engine(wanted: str) -> tuple[str, str]:
    """`cpu` (compiled) or a torch device; and why it is not the one that was asked for, empty when it is."""
    try:
        return pick_device(wanted), ""
    except MissingExtra as error:
        return "cpu", error.message
    except ImportError as error:
        return "cpu", f"torch can't be imported ({error})"
