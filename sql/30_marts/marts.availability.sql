-- grain: indicator_id, year
select
    score.indicator_id,
    score.year,
    count(*) as n_municipalities,
    count(score.value) / count(*) as present_share,
    count(*) filter (where score.cell_status = 'observed') / count(*) as observed_share,
    count(*) filter (where score.cell_status in ('interpolated', 'substituted')) / count(*) as interpolated_share,
    count(*) filter (where score.cell_status = 'carried') / count(*) as carried_share,
    count(score.value) filter (where region.is_twente) as n_twente_present,
    count(common.indicator_id) > 0 as is_common
from marts.indicator_score as score
inner join meta.region as region on score.region_code = region.region_code
left join intermediate.common_indicator as common
    on score.indicator_id = common.indicator_id and score.year = common.year
where region.region_level = 'gemeente'
group by score.indicator_id, score.year
order by score.indicator_id, score.year
