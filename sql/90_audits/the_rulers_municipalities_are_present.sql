-- severity: critical
-- table: marts.indicator_score
-- why: in every index year an indicator of the index has nearly all municipalities that its ruler was made of
-- reason: a delivery without a province still gives scores, ranks and a national mean, of another country.
with present as (
    select score.indicator_id, score.year, count(score.score) as n_present
    from marts.indicator_score as score
    inner join meta.region as region on score.region_code = region.region_code
    inner join meta.index_year as index_year on score.year = index_year.year
    where region.region_level = 'gemeente' and index_year.is_index_year
    group by score.indicator_id, score.year
)

select baseline.indicator_id, present.year, present.n_present, baseline.n_units
from meta.baseline as baseline
inner join meta.indicator as indicator on baseline.indicator_id = indicator.indicator_id and indicator.in_index
cross join meta.method as method
inner join present on baseline.indicator_id = present.indicator_id
where baseline.method_version = method.method_version
    and present.n_present < method.audit_ruler_share * baseline.n_units
