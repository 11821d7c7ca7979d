"""The recipes that `ropewalk init` writes, each a commented YAML file in this folder."""

from __future__ import annotations

from importlib import resources

from ropewalk.core.errors import ConfigError
from ropewalk.core.load import nearest


def template_names() -> list[str]:
    return sorted(item.name.removesuffix(".yaml") for item in resources.files(__name__).iterdir() if item.name.endswith(".yaml"))


def read_template(name: str) -> str:
    """Raises ConfigError naming the templates there are."""
    if name not in template_names():
        raise ConfigError(f"there is no template {name!r} ({nearest(name, template_names())})")
    return resources.files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
