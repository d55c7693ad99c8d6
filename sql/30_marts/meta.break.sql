-- grain: indicator_id, year, kind
select break.indicator_id, break.year, break.kind, break.reason
from catalogue.break as break
order by break.indicator_id, break.year, break.kind
