"""The readable end of a refresh: Twente, its 14 municipalities, and how much it rests on."""

from pathlib import Path

from btg import terminal, warehouse
from btg.catalogue.loader import Catalogue

INDEX = """
select
    now.region_name,
    base.score as base_score,
    now.score,
    now.rank_nl,
    now.rank_common_set,
    now.n_ranked,
    now.coverage_share,
    now.imputed_share,
    change.matched_change,
    change.change_vs_nl,
    change.direction
from marts.btg_index as now
cross join meta.method as method
inner join marts.btg_index as base
    on now.region_code = base.region_code and base.year = method.base_year
left join marts.change_since_2019 as change
    on now.region_code = change.region_code and now.year = change.year and change.level = 'index'
where now.year = method.last_index_year
    and (now.is_twente or now.region_code in ('CR12', 'PV23', 'NL01'))
order by now.is_twente, now.score desc
"""


def show(database: Path, catalogue: Catalogue) -> None:
    """Print the index of Twente and its 14 in the base year and the last index year."""
    con = warehouse.open_published(database)
    try:
        method = warehouse.rows(
            con,
            "select method_version, base_year, first_index_year, last_index_year from meta.method",
        )[0]
        rows = warehouse.rows(con, INDEX)
        states = warehouse.rows(
            con, "select state, count(*) from meta.source group by 1 order by 1"
        )
    finally:
        con.close()
    version, base_year, first, last = method
    print("BTG open-data index: 100 = the Netherlands in 2019; 10 points = one standard deviation")
    print("between municipalities. Change since 2019 is a change, not an effect of the Regio Deal.")
    print()
    terminal.table(
        ["region", str(base_year), str(last), "rank NL", "(common set)", "coverage", "not observed",
         "matched change", "vs NL", "direction"],
        [
            [name, _number(base), _number(score), f"{rank} of {n}" if rank else "",
             f"({common})" if common else "", _share(coverage), _share(imputed), _signed(change),
             _signed(versus), direction or ""]
            for (name, base, score, rank, common, n, coverage, imputed, change, versus,
                 direction) in rows
        ],
    )  # fmt: skip
    print()
    print(f"index years {first}-{last}, method {version}; tables by state: "
          + ", ".join(f"{n} {state}" for state, n in states))  # fmt: skip


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.1f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"
