-- grain: region_code, year
select
    weight_draw.region_code,
    weight_draw.year,
    weight_draw.score_p05,
    weight_draw.score_p95,
    weight_draw.rank_p05,
    weight_draw.rank_median,
    weight_draw.rank_p95
from uncertainty.weight_draw as weight_draw
order by weight_draw.region_code, weight_draw.year
