"""Personal data: found by shape and check, and put out of sight. No value that was found is written anywhere."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from ropewalk.core.errors import MissingExtra
from ropewalk.data.pii.national import COUNTRIES, Country
from ropewalk.data.pii.replace import Replacement, check_of, secret
from ropewalk.data.steps import Batch, Change, Step

if TYPE_CHECKING:
    from ropewalk.data.pii.cleaner import Cleaner

Kind = Literal[
    "email", "ip", "phone", "card", "iban", "national_id", "api_key", "private_key", "url_credentials", "crypto", "name", "place"
]  # fmt: skip
PACKAGES = {"phone": ("phonenumbers", "data"), "name": ("presidio-analyzer", "presidio"), "place": ("presidio-analyzer", "presidio")}
"""Kind -> the package that judges it and the extra that brings it."""


class Pii(Step, type="pii"):
    """Replaces personal data and secrets; what only looks like one (a version, a build number, an order's number) stays."""

    kinds: Annotated[list[Kind], Field(min_length=1)] = [
        "email", "ip", "card", "iban", "national_id", "api_key", "private_key", "url_credentials", "crypto",
    ]  # fmt: skip
    """What is looked for. `phone` needs the extra `data`, `name` and `place` need `presidio`; the others need nothing."""
    replace: Replacement = "tag"
    """`tag` puts `<EMAIL>` or `<IP>`, `mask` a `*` for each letter and digit, `pseudonym` an invented value, the same for the same
    value."""
    replace_kinds: dict[Kind, Replacement] = {}
    """Kinds for which it is done in another way: `{email: pseudonym, ip: mask}`."""
    allow: list[str] = []
    """Values that stay, whatever their case; `@example.org` is every address there."""
    phone_regions: Annotated[list[Annotated[str, Field(pattern="^[A-Z]{2}$")]], Field(min_length=1)] = ["US", "GB"]
    """Countries whose telephone numbers are known without `+` and a country code; `US` is all of North America."""
    national_ids: Annotated[list[Country], Field(min_length=1)] = list(COUNTRIES)
    """Countries whose ids of persons are looked for."""
    secret_variable: Annotated[str, Field(min_length=1)] = "ROPEWALK_PII_KEY"
    """The environment variable that holds the secret which pseudonyms are keyed by."""
    ner_model: Annotated[str, Field(min_length=1)] = "en_core_web_lg"
    """The spaCy model with which presidio finds names and places; it must be installed."""

    def choices(self) -> dict[str, Replacement]:
        """Kind -> what is put in its place."""
        return {kind: self.replace_kinds.get(kind, self.replace) for kind in self.kinds}

    def fingerprint(self) -> Any:
        """Versions of the packages that judge, and which secret it was; never the secret."""
        found: dict[str, str] = {}
        for kind in self.kinds:
            if kind in PACKAGES:
                package, extra = PACKAGES[kind]
                try:
                    found[package] = metadata.version(package)
                except metadata.PackageNotFoundError as error:
                    raise MissingExtra(f"pii: {kind} needs the package {package}", remedy=f"pip install 'ropewalk[{extra}]'") from error
        key = self._secret()
        if key:
            found["secret"] = check_of(key)
        return found or None

    def apply(self, batch: Batch) -> Change:
        return self._cleaner().clean(batch.table["text"])

    def _secret(self) -> bytes:
        return secret(self.secret_variable) if "pseudonym" in self.choices().values() else b""

    def _cleaner(self) -> Cleaner:
        from ropewalk.data.pii.cleaner import cleaner

        self.fingerprint()  # says which extra or secret is missing
        return cleaner(
            tuple(sorted(self.choices().items())),
            tuple(text.lower() for text in self.allow),
            tuple(self.phone_regions),
            tuple(self.national_ids),
            self._secret(),
            self.ner_model,
        )
