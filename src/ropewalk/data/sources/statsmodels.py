"""Real series that ship inside the statsmodels package: records of time and value, for tests and for trying things out."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from ropewalk.core.extras import extra_version
from ropewalk.core.shards import Shard
from ropewalk.data.records import Document, Rejected
from ropewalk.data.sources.source import Record, Source

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


class Statsmodels(Source, type="statsmodels"):
    """Series of the statsmodels package: `co2` (weekly, Mauna Loa), `elnino` (monthly sea temperature), `nile` and `sunspots` (yearly)."""

    dataset: Literal["co2", "elnino", "nile", "sunspots"] = "co2"
    """Which one."""

    def fingerprint(self) -> Any:
        """The package's version."""
        return extra_version("statsmodels", "forecast", f"the series {self.dataset!r}")

    def records(self, shard: Shard) -> Iterator[Record | Rejected]:
        """`time` as ISO text and `value` as the file has it, empty where nothing was measured."""
        self.fingerprint()
        package = find_spec("statsmodels")  # not imported: that takes a second
        assert package is not None and package.origin is not None, "its version was found"
        file = Path(package.origin).parent / "datasets" / self.dataset / f"{self.dataset}.csv"
        for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines()):
            cells = {name.strip().upper(): cell.strip() for name, cell in row.items()}
            if self.dataset == "co2":
                yield {"time": cells["DATE"], "value": cells["CO2"]}
            elif self.dataset == "elnino":
                year = cells["YEAR"]
                yield from ({"time": f"{year}-{number:02d}-01", "value": cells[name]} for number, name in enumerate(MONTHS, 1))
            else:
                value = cells["VOLUME" if self.dataset == "nile" else "SUNACTIVITY"]
                yield {"time": f"{int(float(cells['YEAR']))}-01-01", "value": value}

    def read(self, shard: Shard) -> Iterator[Document | Rejected]:
        """Each record as JSON text."""
        for record in self.records(shard):
            if not isinstance(record, Rejected):
                yield Document(f"{self.dataset}-{record['time']}", json.dumps(record), self.name or self.dataset, self.license)
