"""Forecasting from a file to a gate and a prediction, on small series: nothing leaks, nothing is lost, stops change nothing."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ropewalk.cli.templates import read_template
from ropewalk.core.errors import ConfigError, DataError, MissingExtra
from ropewalk.core.ledger import read_ledger
from ropewalk.data.series import FACTS, Series
from ropewalk.data.series_loader import SeriesLoader
from ropewalk.evaluate.forecasts import simple_quantiles, smoothed
from ropewalk.evaluate.scores import Scores
from ropewalk.pipeline.predict import predict
from ropewalk.pipeline.recipe import Recipe, load
from ropewalk.pipeline.verify_resume import verify_resume
from ropewalk.report.html import write_report
from web_server import serving

ROWS, ORIGINS, HORIZON, CONTEXT = 160, 8, 4, 14
TEST_FROM = ROWS - ORIGINS * HORIZON
START = np.datetime64("2024-01-01")

RECIPE = """
format: 1
name: forecast
seed: 3
stages:
  series:
    type: series
    source: {{type: csv, path: {path}}}
    reading:
      time: date
      symbol: shop
      target: sales
      columns: [visits]
      every: day
      features: [{{type: calendar, parts: [weekday]}}, {{type: momentum, column: visits, rows: 3}}]
    context: 14
    horizon: 4
    test: {{origins: 8}}
  model:
    type: train
    task: forecast
    data: series
    model: {{type: lstm, width: 8}}
    optimizer: {{type: adamw, lr: 1e-2}}
    batch: {{sequences: 16, micro_batch: 8}}
    budget: {{steps: 40}}
    average: 0.9
    evaluate: {{sequences: 8}}
    save: {{every: 7}}
  scores: {{type: evaluate, model: model, suites: [{{type: forecast, data: series, rivals: []}}]}}
  gate: {{type: gate, scores: scores, checks: [{{type: beats_naive}}]}}
  shipped: {{type: export, model: model, verdict: gate}}
"""


def sales(rows: int = ROWS) -> list[dict[str, Any]]:
    """Two shops with a weekly course and some noise."""
    draws = np.random.default_rng(4)
    found = []
    for number, shop in enumerate(("north", "south")):
        course = 10 * (number + 1) * (5 + np.sin(2 * np.pi * np.arange(rows) / 7)) + draws.normal(0, 0.5, rows)
        found += [
            {"date": str(START + day), "shop": shop, "sales": round(float(v), 3), "visits": 50 + day % 7} for day, v in enumerate(course)
        ]
    return found


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    told = io.StringIO()
    writer = csv.DictWriter(told, list(records[0]))
    writer.writeheader()
    writer.writerows(records)
    path.write_text(told.getvalue())
    return path


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Recipe]:
    def made(*overrides: str, records: list[dict[str, Any]] | None = None, name: str = "sales.csv") -> Recipe:
        path = write(tmp_path / name, records or sales())
        places = [f"store={tmp_path / 'store'}", f"runs={tmp_path / 'runs'}"]
        (tmp_path / "recipe.yaml").write_text(RECIPE.format(path=path))
        return load(tmp_path / "recipe.yaml", [*places, *overrides])

    return made


def test_a_file_becomes_a_forecaster_that_beats_naive_and_predicts(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    run = recipe().run(quiet=True)
    assert run.made == ["series", "model", "scores", "gate", "shipped"]
    counts = run["series"].manifest.counts
    assert counts["records_in"] == counts["kept"] == 2 * ROWS
    scores = run["scores"]
    assert isinstance(scores, Scores)
    assert scores.metric("forecast/mase").value < scores.metric("forecast/mase").baselines["naive"]
    folder = run["shipped"].path
    assert "ropewalk predict" in (folder / "README.md").read_text() and (folder / FACTS).is_file()
    rows = list(predict(folder, tmp_path / "sales.csv"))
    assert [row["time"] for row in rows[:HORIZON]] == [f"{START + ROWS + step}T00:00:00" for step in range(HORIZON)]
    assert all(row["q0.1"] <= row["q0.5"] <= row["q0.9"] for row in rows) and {row["symbol"] for row in rows} == {"north", "south"}
    truth = 10 * (5 + np.sin(2 * np.pi * (ROWS + np.arange(HORIZON)) / 7))
    assert np.abs([row["q0.5"] for row in rows[:HORIZON]] - truth).max() < 6
    page = write_report(run.path).read_text()
    assert page.count('class="band"') == 2 * ORIGINS and "better than naive" in page


def test_metrics_are_what_they_are_called(recipe: Callable[..., Recipe]) -> None:
    run = recipe("series.test.stride=4").run("series", "scores", quiet=True)
    scores, series = run["scores"], run["series"]
    assert isinstance(scores, Scores) and isinstance(series, Series)
    read = pq.read_table(scores.path / "tables" / "forecast.parquet")
    table = {name: read[name].to_numpy(zero_copy_only=False) for name in read.column_names}
    error = np.abs(table["actual"] - table["median"])
    own = {one.name: one.scale.season_error for one in series.facts.symbols}
    inside = (table["low"] <= table["actual"]) & (table["actual"] <= table["high"])
    wanted = {
        "mae": error.mean(),
        "rmse": np.sqrt(np.square(error).mean()),
        "mase": (error / np.array([own[name] for name in table["symbol"]])).mean(),
        "smape": (200 * error / (np.abs(table["actual"]) + np.abs(table["median"]))).mean(),
        "coverage": inside.mean(),
        "crps": 2 * scores.metric("forecast/pinball").value,
    }
    assert {name: scores.metric(f"forecast/{name}").value for name in wanted} == pytest.approx(wanted)
    naive = [series.target[origin - 1] for _, origin in series.origins("test") for _ in range(HORIZON)]
    assert table["naive"].tolist() == naive
    facts = series.facts.symbols[0]
    training = series.target[facts.cuts.first : facts.cuts.train_stop]
    assert facts.scale.season_error == pytest.approx(np.abs(training[7:] - training[:-7]).mean())


def test_a_future_of_a_billion_changes_no_statistic_no_weight_and_no_forecast(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    """The rows from the first test origin on are set to 1e9; all that was made before must be the same, bit for bit."""
    poisoned = [{**row, "sales": 1e9, "visits": 10**9} if np.datetime64(row["date"]) >= START + TEST_FROM else row for row in sales()]
    clean = recipe().run("model", quiet=True)
    found = recipe("name=other", records=poisoned, name="other.csv").run("model", quiet=True)
    assert found["series"].key != clean["series"].key
    for one, other in zip(clean["series"].facts.symbols, found["series"].facts.symbols, strict=True):
        assert one == other, "parts and scales"
    assert (clean["series"].facts.means, clean["series"].facts.spreads) == (found["series"].facts.means, found["series"].facts.spreads)
    assert (clean["model"].path / "model.safetensors").read_bytes() == (found["model"].path / "model.safetensors").read_bytes()
    for part in ("train", "holdout"):
        batches = [SeriesLoader(run["series"], part, 16, 1).at(2) for run in (clean, found)]
        assert all(np.array_equal(getattr(batches[0], name), getattr(batches[1], name)) for name in ("past", "known", "target"))
    first = [SeriesLoader(run["series"], "test", 8, 1) for run in (clean, found)]
    windows = [one.gather(np.array([0, ORIGINS]), np.array([1, 2])) for one in first]
    assert np.array_equal(windows[0].past, windows[1].past) and np.array_equal(windows[0].known, windows[1].known)
    assert not np.array_equal(windows[0].target, windows[1].target), "the poison is there"
    until = [row for row in sales() if np.datetime64(row["date"]) < START + TEST_FROM]
    told = [list(predict(run["model"].path, write(tmp_path / "until.csv", until))) for run in (clean, found)]
    assert told[0] == told[1]
    scores = recipe().run("scores", quiet=True)["scores"]
    table = pq.read_table(scores.path / "tables" / "forecast.parquet").to_pylist()
    at_first = [row["median"] for row in table if row["symbol"] == "north"][:HORIZON]
    assert [row["q0.5"] for row in told[0] if row["symbol"] == "north"] == pytest.approx(at_first, rel=1e-5)


def test_baselines_and_smoothing_read_nothing_of_the_future(recipe: Callable[..., Recipe]) -> None:
    pytest.importorskip("statsmodels")
    series = recipe().run("series", quiet=True)["series"]
    assert isinstance(series, Series)
    levels = np.array([0.1, 0.5, 0.9])
    before = {**simple_quantiles(series, "test", levels), "ets": smoothed(series, "test", "ets")[0]}
    target = series.target.copy()
    last = {symbol: max(row for number, row in series.origins("test") if number == symbol) for symbol in (0, 1)}
    for row in last.values():
        target[row : row + HORIZON] = 1e9
    series.__dict__["target"] = target
    after = {**simple_quantiles(series, "test", levels), "ets": smoothed(series, "test", "ets")[0]}
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert before["seasonal_naive"][0, :, 1] == pytest.approx(target[series.origins("test")[0, 1] - 7 + np.arange(HORIZON)], rel=1e-9)


@pytest.mark.parametrize("model", ["{type: lstm, width: 8}", "{type: transformer, width: 8, heads: 2}", "{type: dit, width: 8, heads: 2}"])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_stopping_changes_no_bit(recipe: Callable[..., Recipe], model: str, optimizer: str) -> None:
    made = recipe(f"model.model={model}", f"model.optimizer={{type: {optimizer}, lr: 0.01}}")
    made.run("series", quiet=True)
    proof = verify_resume(made.plan("model"), "model", 4)
    assert proof.holds and any(row["file"].endswith("series.json") for row in proof.rows())


@pytest.mark.parametrize("model", ["{type: lstm, width: 8, dropout: 0.0}", "{type: dit, width: 8, heads: 2, dropout: 0.0}"])
def test_memory_that_runs_out_halves_the_micro_batch_and_keeps_the_model(recipe: Callable[..., Recipe], tmp_path: Path, model: str) -> None:
    fields = [f"model.model={model}", "model.budget.steps=5"]
    plain = recipe(*fields).run("model", quiet=True)["model"]
    again = recipe(*fields, "model.faults={oom_at: [2, 2]}", "name=again", f"store={tmp_path / 'again'}").run("model", quiet=True)["model"]
    assert again.manifest.metrics["micro_batch_retries"] == 2 and again.key == plain.key
    for name in ("train_loss", "holdout_loss"):
        assert again.manifest.metrics[name] == pytest.approx(plain.manifest.metrics[name], rel=1e-4)


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "http"])
def test_the_same_rows_from_other_files_and_the_web_make_the_same_series(recipe: Callable[..., Recipe], tmp_path: Path, kind: str) -> None:
    usual = recipe().run("series", quiet=True)["series"]
    with serving() as server:
        if kind == "parquet":
            pq.write_table(pa.Table.from_pylist(sales()), tmp_path / "sales.parquet")
            source = f"{{type: parquet, path: {tmp_path / 'sales.parquet'}}}"
        elif kind == "jsonl":
            (tmp_path / "sales.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, sales())).encode()))
            source = f"{{type: jsonl, path: {tmp_path / 'sales.jsonl.gz'}}}"
        else:
            pages = {"1": sales()[:200], "2": sales()[200:], "3": []}
            server.pages["/prices"] = lambda handler: handler.give(
                json.dumps({"data": pages[handler.path.partition("page=")[2].partition("&")[0] or "1"]}).encode()
            )
            source = f"{{type: http, url: '{server.address}/prices', allow_private: true, pages: {{by: page, rows: data}}}}"
        found = recipe(f"series.source={source}").run("series", quiet=True)["series"]
    assert (found.path / FACTS).read_bytes() == (usual.path / FACTS).read_bytes()
    assert np.array_equal(found.target, usual.target) and np.array_equal(found.features, usual.features)


def test_rows_that_are_left_out_are_counted_and_listed(recipe: Callable[..., Recipe]) -> None:
    records = sales()
    records[5]["sales"] = ""
    records.append(dict(records[7]))
    short = [{**row, "shop": "kiosk"} for row in sales()[:20]]
    fields = ["duplicates=first", "missing=drop", "gaps=hold"]
    made = recipe(*[f"series.reading.{field}" for field in fields], "series.too_short=drop", records=[*records, *short])
    found = made.run("series", quiet=True)["series"]
    counts = found.manifest.counts
    dropped = {name: counts[f"dropped/{name}"] for name in ("missing_number", "duplicate_stamp", "too_short")}
    assert dropped == {"missing_number": 1, "duplicate_stamp": 1, "too_short": 20} and counts["kept"] == 2 * ROWS - 1
    assert read_ledger(found.path).num_rows == 22 and found.manifest.metrics["symbols"]["north"]["filled"] == 1
    chosen = made.run("series", quiet=True).path
    assert chosen.is_dir()
    only = recipe("series.reading.symbols=[south]").run("series", quiet=True)["series"]
    assert only.manifest.counts["dropped/other_symbol"] == ROWS and [one.name for one in only.facts.symbols] == ["south"]


@pytest.mark.parametrize(
    ("overrides", "change", "words"),
    [
        (["series.reading.target=sold"], {}, "no column 'sold'"),
        (["series.reading.time=day"], {}, "has no 'day'"),
        (["series.reading.symbols=[west]"], {}, "no symbol 'west'"),
        (["series.horizon=300"], {}, "rows are too few"),
        ([], {"sales": "nan"}, "sales is missing at 2024-01-04"),
        ([], {"date": "2024-01-03"}, "2024-01-03 00:00:00 is there 2 times"),
        ([], {"sales": "much"}, "'much', which is no number"),
        (["series.transform=log_return"], {"sales": "-1"}, "needs numbers above 0"),
        (["series.reading.every=month"], {}, "fall into one month"),
    ],
)
def test_bad_input_is_a_typed_error_that_names_it(
    recipe: Callable[..., Recipe], overrides: list[str], change: dict[str, str], words: str
) -> None:
    records = sales()
    records[3] |= change
    with pytest.raises(DataError, match=words):
        recipe(*overrides, records=records).run("series", quiet=True)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.task=lm", "set task: forecast"),
        ("model.model=gpt", "gpt is not for task forecast"),
        ("model.samples={prompts: [a]}", "writes no text"),
        ("model.model={type: dit, width: 9}", "can't be shared by 4 heads"),
        ("series.reading.zone=Mars/Olympus", "unknown time zone"),
        ("gate.checks.0.metric=forecast/maee", "did you mean"),
    ],
)
def test_what_does_not_fit_is_said_before_any_work(recipe: Callable[..., Recipe], override: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        recipe(override).plan()


def test_a_forecaster_goes_on_from_another_on_series_made_alike(recipe: Callable[..., Recipe]) -> None:
    run = recipe("model.budget.steps=3").run("model", quiet=True)
    start = f"path:{run['model'].path}"
    more = recipe("model.model=null", f"model.init='{start}'", "model.budget.steps=2", "name=more").run("model", quiet=True)
    assert more["model"].manifest.metrics["steps"] == 2
    with pytest.raises(DataError, match="was trained with horizon 4, and series has 5"):
        recipe("model.model=null", f"model.init='{start}'", "series.horizon=5", "name=less").run("model", quiet=True)


def test_predictions_refuse_what_the_model_does_not_know(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    model = recipe("model.budget.steps=2").run("model", quiet=True)["model"].path
    west = write(tmp_path / "west.csv", [{**row, "shop": "west"} if row["shop"] == "south" else row for row in sales()])
    with pytest.raises(DataError, match="knows no symbol 'west'"):
        list(predict(model, west))
    assert {row["symbol"] for row in predict(model, west, symbols=["north"])} == {"north"}
    with pytest.raises(DataError, match="fewer than the 14 that a forecast reads"):
        list(predict(model, write(tmp_path / "short.csv", sales()[:9])))
    with pytest.raises(ConfigError, match="between 0 and 1"):
        predict(model, west, levels=[0.5, 1.0])
    with pytest.raises(DataError, match="not a model's folder"):
        predict(tmp_path, west)


def test_a_rival_without_its_package_names_the_extra(recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch) -> None:
    series = recipe().run("series", quiet=True)["series"]
    from importlib import metadata

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(MissingExtra, match=r"(?s)statsmodels.*ropewalk\[forecast\]"):
        smoothed(series, "test", "ets")


def test_the_template_goes_from_a_file_to_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "sales.csv", sales(500))
    (tmp_path / "forecast.yaml").write_text(read_template("forecast"))
    run = load(tmp_path / "forecast.yaml", ["model_trained.budget.steps=3", "scores.suites.0.rivals=[]"]).run("scores", quiet=True)
    assert run["scores"].manifest.metrics["forecast/mae"] > 0 and run.made == ["series", "model_trained", "scores"]


def test_a_language_suite_on_a_forecaster_is_refused(recipe: Callable[..., Recipe]) -> None:
    suite = "scores.suites=[{type: multiple_choice, rows: [{query: a, choices: [b, c], gold: 0}]}]"
    with pytest.raises(ConfigError, match="asks for a language model, and model is a forecaster"):
        recipe("model.budget.steps=2", suite, "gate.checks.0.metric=multiple_choice/accuracy").run("scores", quiet=True)


SHIPPED = Path(__file__).parents[2] / "recipes" / "stock_forecast.yaml"


def test_the_shipped_recipe_meets_its_bar_on_real_co2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("statsmodels")
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    run = load(SHIPPED, [f"store={tmp_path / 'store'}", f"runs={tmp_path / 'runs'}", "lstm_scores.suites.0.rivals=[]"]).run(
        "lstm_gate", quiet=True
    )
    scores = run["lstm_scores"]
    assert isinstance(scores, Scores) and run["lstm_gate"].manifest.metrics == {"passed": 2, "failed": 0}
    assert scores.metric("forecast/mase").value <= 0.55
    assert 1.2 < scores.metric("forecast/mase").baselines["seasonal_naive"] < 1.3, "the number that others measured: 1.23"


def test_real_prices_in_one_file_or_one_a_symbol_are_the_same_and_the_short_one_is_refused(tmp_path: Path, data_dir: Path) -> None:
    places = [f"store={tmp_path / 'store'}", f"runs={tmp_path / 'runs'}"]
    with pytest.raises(DataError, match="FB: 196 rows are too few"):
        load(SHIPPED, [*places, "prices.too_short=error"]).run("prices", quiet=True)
    folder = data_dir / "timeseries" / "stocks"
    sources = [f"{{type: {kind}, path: {folder / kind}}}" for kind in ("csv", "parquet")]
    apart = [[f"prices.source={source}", "prices.reading.symbol=null"] for source in sources]
    found = [load(SHIPPED, [*places, *fields]).run("prices", quiet=True)["prices"] for fields in ([], *apart)]
    assert [one.name for one in found[0].facts.symbols] == ["AAPL", "GOOG", "IBM", "MSFT"]
    for other in found[1:]:
        assert np.array_equal(other.target, found[0].target) and other.facts.symbols == found[0].facts.symbols
    changes = np.abs(np.diff(np.log(found[0].target[:3270])))
    splits = np.isin(found[0].times[1:3270].astype("datetime64[D]"), np.array(["2000-06-21", "2005-02-28"], "datetime64[D]"))
    assert splits.sum() == 2 and changes[splits].max() < 0.12, "adjusted: Apple's splits are no falls"
