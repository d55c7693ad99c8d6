-- severity: critical
-- table: marts.indicator_score
-- why: every region, year and indicator has a row, and nothing else has
-- reason: a join that drops rows takes the reason for what is missing with it.
select count(*) as n_rows, any_value(grid.n_expected) as n_expected
from marts.indicator_score as score
cross join (
    select
        (select count(*) from meta.region as region)
        * (select count(*) from meta.indicator as indicator)
        * (select count(*) from meta.index_year as index_year) as n_expected
) as grid
having count(*) <> any_value(grid.n_expected)
