import polars as pl

from btg import baseline, build, pipeline
from btg.answers import version_report
from btg.catalogue.loader import Catalogue
from btg.settings import Settings


def test_what_moves_under_another_ruler_is_reported_flipped_first(
    published: Settings, catalogue: Catalogue
) -> None:
    workspace = pipeline.Workspace(published, catalogue)
    inputs = build.read_inputs(catalogue, pipeline.in_use(workspace, None))
    ruler = baseline.read_baseline(catalogue)
    chosen = pl.col("indicator_id") == "inkomen_mediaan"
    wider = ruler.with_columns(pl.when(chosen).then(2 * pl.col("s")).otherwise("s").alias("s"))
    found = version_report.moved(published, catalogue, inputs, wider)
    assert found is not None
    assert found.scores.height > 0
    items = found.scores.filter(pl.col("level") == "indicator")["item_id"].unique().to_list()
    assert items == ["inkomen_mediaan"]
    flipped = found.scores["is_flipped"].to_list()
    assert flipped == sorted(flipped, reverse=True)
    assert version_report.as_text(found, "next")[-1].endswith("figures move")


def test_the_same_ruler_moves_nothing(published: Settings, catalogue: Catalogue) -> None:
    workspace = pipeline.Workspace(published, catalogue)
    inputs = build.read_inputs(catalogue, pipeline.in_use(workspace, None))
    found = version_report.moved(published, catalogue, inputs, baseline.read_baseline(catalogue))
    assert found is not None
    assert found.scores.height == 0
