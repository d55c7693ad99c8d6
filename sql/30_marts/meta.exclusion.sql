-- grain: series
select exclusion.series, exclusion.source, exclusion.dimension_id, exclusion.reason
from catalogue.exclusion as exclusion
order by exclusion.dimension_id, exclusion.series
