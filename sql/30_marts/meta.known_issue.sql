-- Cells of the sources that are wrong or odd, against what the provider has now.
-- grain: table_id, topic_id, region_code, period
select
    measure.source_id,
    correction.table_id,
    correction.measure_id as topic_id,
    correction.region_code,
    correction.source_period as period,
    any_value(cell.year) as year,
    min(indicator.indicator_id) as indicator_id,
    correction.action,
    correction.value_expected,
    any_value(cell.value) as value_now,
    correction.value_set,
    correction.reason,
    correction.reported,
    any_value(cell.value) is not distinct from correction.value_expected as is_current
from catalogue.correction as correction
inner join catalogue.measure as measure
    on correction.table_id = measure.table_id and correction.measure_id = measure.measure_id
left join raw.cell as cell
    on correction.table_id = cell.table_id
    and correction.measure_id = cell.measure_id
    and correction.region_code = trim(cell.region_key)
    and correction.source_period = trim(cell.period_key)
left join catalogue.indicator as indicator
    on correction.table_id = indicator.num_table and correction.measure_id = indicator.num_measure
group by
    measure.source_id, correction.table_id, correction.measure_id, correction.region_code,
    correction.source_period, correction.action, correction.value_expected, correction.value_set,
    correction.reason, correction.reported
order by correction.table_id, correction.measure_id, correction.region_code, correction.source_period
