-- severity: critical
-- table: marts.indicator_score
-- why: a weighted mean of the 14 lies between the lowest and the highest of them
-- reason: a wrong membership or a weight that is negative puts the mean outside of its parts.
select twente.indicator_id, twente.year, twente.value, min(score.value) as lowest, max(score.value) as highest
from marts.indicator_score as twente
inner join marts.indicator_score as score
    on twente.indicator_id = score.indicator_id and twente.year = score.year
inner join meta.region as region on score.region_code = region.region_code and region.is_twente
where twente.region_code = 'CR12' and twente.value is not null
group by twente.indicator_id, twente.year, twente.value
having twente.value < min(score.value) - (select method.comparison_tolerance from meta.method as method) or twente.value > max(score.value) + (select method.comparison_tolerance from meta.method as method)
