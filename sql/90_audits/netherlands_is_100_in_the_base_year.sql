-- severity: warning
-- table: marts.indicator_score
-- why: the Netherlands is 100 on every indicator in the base year for the vintage of the ruler; a difference is a revision of 2019
-- reason: the reading of every score starts from it; a source that revises 2019 moves it.
select score.indicator_id, score.score
from marts.indicator_score as score
inner join meta.region as region on score.region_code = region.region_code
inner join meta.indicator as indicator on score.indicator_id = indicator.indicator_id
cross join meta.method as method
where region.region_level = 'land'
    and indicator.in_index
    and score.year = method.base_year
    and (score.score is null or abs(score.score - method.score_centre) > method.comparison_tolerance)
