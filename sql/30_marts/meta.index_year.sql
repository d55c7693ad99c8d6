-- grain: year
select
    index_year.year,
    index_year.near_observed_share,
    index_year.index_share,
    index_year.least_dimension_share,
    index_year.fulfils_rule,
    index_year.is_index_year
from intermediate.index_year as index_year
order by index_year.year
