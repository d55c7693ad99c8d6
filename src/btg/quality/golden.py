"""The golden figures: index, dimensions and change of Twente as they are known to be.

They pin the whole chain from the seed to the marts: a change of catalogue, SQL or seed that moves
a published figure shows here, line by line, and is either intended (write them anew) or a fault.
"""

from pathlib import Path

import polars as pl

from btg import durable, warehouse

TOLERANCE = 1e-9
KEYS = ["region_code", "year", "item_id", "quantity"]
QUERY = """
with region as (
    select region.region_code from meta.region as region
    where region.is_twente or region.region_code in ('CR12', 'PV23', 'NL01')
)

select score.region_code, score.year, 'index' as item_id, 'score' as quantity, score.score as value
from marts.btg_index as score
inner join region on score.region_code = region.region_code
where score.score is not null
union all
select score.region_code, score.year, score.dimension_id, 'score', score.score
from marts.dimension_score as score
inner join region on score.region_code = region.region_code
where score.score is not null
union all
select change.region_code, change.year, change.item_id, 'matched_change', change.matched_change
from marts.change_since_2019 as change
inner join region on change.region_code = region.region_code
where change.level <> 'indicator' and change.matched_change is not null
order by all
"""


def golden_path(repository: Path) -> Path:
    """Return the file of the golden figures."""
    return repository / "tests" / "golden" / "twente.csv"


def figures(database: Path) -> pl.DataFrame:
    """Return the golden figures of a published file."""
    con = warehouse.open_published(database)
    try:
        return warehouse.frame(con, QUERY)
    finally:
        con.close()


def differences(found: pl.DataFrame, repository: Path) -> list[str]:
    """Return one line per figure that is not golden (absolute tolerance 1e-9)."""
    path = golden_path(repository)
    if not path.exists():
        return [f"{path.name} does not exist: btg check --update-golden writes it"]
    known = pl.read_csv(path, schema=found.schema)
    both = known.join(found, on=KEYS, how="full", suffix="_found", coalesce=True)
    wrong = both.filter(
        pl.col("value").is_null()
        | pl.col("value_found").is_null()
        | ((pl.col("value") - pl.col("value_found")).abs() > TOLERANCE)
    ).sort(KEYS)
    return [
        f"{r['region_code']} {r['year']} {r['item_id']} {r['quantity']}: "
        f"{r['value']} -> {r['value_found']}"
        for r in wrong.to_dicts()
    ]


def write(found: pl.DataFrame, repository: Path) -> None:
    """Make the figures the golden ones."""
    durable.write_bytes(golden_path(repository), found.write_csv().encode())
