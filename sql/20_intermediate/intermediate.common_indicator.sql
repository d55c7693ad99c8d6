-- The common set of each year: index indicators that 95 % of the municipalities and all 14 have.
-- grain: year, indicator_id
select score.year, score.indicator_id
from intermediate.indicator_score as score
inner join catalogue.region as region on score.region_code = region.region_code
cross join catalogue.method as method
where score.in_index and region.region_level = 'gemeente'
group by score.year, score.indicator_id
having count(score.score) >= any_value(method.common_set_share) * count(*)
    and count(score.score) filter (where region.is_twente) = any_value(method.n_twente)
