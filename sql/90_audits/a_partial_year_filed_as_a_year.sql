-- severity: critical
-- table: marts.indicator_score
-- why: counted events far below those of the year before in the median municipality are a year that is not complete
-- reason: the police publishes months; nine months filed as the year is three quarters of it, in every municipality. The dip of burglary in 2020 (0.75) is real and stays above the limit.
with observed as (
    select score.indicator_id, score.region_code, score.year, score.value
    from marts.indicator_score as score
    inner join meta.indicator as indicator on score.indicator_id = indicator.indicator_id
    inner join meta.region as region on score.region_code = region.region_code
    where region.region_level = 'gemeente' and score.cell_status = 'observed' and indicator.error_model = 'poisson'
)

select observed.indicator_id, observed.year, median(observed.value / earlier.value) as share_of_the_year_before
from observed
inner join observed as earlier
    on observed.indicator_id = earlier.indicator_id
    and observed.region_code = earlier.region_code
    and observed.year = earlier.year + 1
where earlier.value > 0
group by observed.indicator_id, observed.year
having median(observed.value / earlier.value) < (select method.audit_partial_year_share from meta.method as method)
