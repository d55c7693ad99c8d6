-- grain: region_code, year, indicator_id
select
    trend.region_code,
    trend.year,
    trend.indicator_id,
    trend.slope,
    trend.p_value,
    trend.n_points,
    trend.trend,
    trend.quarter_nl
from uncertainty.trend as trend
order by trend.region_code, trend.year, trend.indicator_id
