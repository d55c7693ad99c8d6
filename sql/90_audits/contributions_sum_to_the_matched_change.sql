-- severity: critical
-- table: marts.change_contribution
-- why: contributions sum to the matched change of the index
-- reason: a bar chart of contributions that does not add up to the figure above it is the first thing a reader notices.
with summed as (
    select contribution.region_code, contribution.year, sum(contribution.contribution) as total
    from marts.change_contribution as contribution
    group by contribution.region_code, contribution.year
)

select change.region_code, change.year, change.matched_change, summed.total
from marts.change_since_2019 as change
left join summed on change.region_code = summed.region_code and change.year = summed.year
where change.level = 'index'
    and (
        (change.matched_change is null) <> (summed.total is null)
        or abs(change.matched_change - summed.total) > (select method.comparison_tolerance from meta.method as method)
    )
