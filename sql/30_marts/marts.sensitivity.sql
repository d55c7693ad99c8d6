-- grain: year, output, factor
select
    sensitivity.year,
    sensitivity.output,
    sensitivity.factor,
    sensitivity.first_order_share,
    sensitivity.total_share,
    sensitivity.n_variants,
    sensitivity.n_excluded
from uncertainty.sensitivity as sensitivity
order by sensitivity.year, sensitivity.output, sensitivity.factor
