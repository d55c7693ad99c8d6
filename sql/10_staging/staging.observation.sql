-- One row per observed figure as the source gives it: region and year readable, nothing judged.
-- A cell in corrections.yml is dropped or set while the provider still has the value noted there.
-- grain: table_id, measure_id, region_code, year
select
    cell.source_id,
    cell.table_id,
    cell.measure_id,
    try_cast(
        -- the tables by wijk and buurt name the country NL00
        case when trim(cell.region_key) = 'NL00' then 'NL01' else trim(cell.region_key) end
        as region_code
    ) as region_code,
    cell.year,
    case when correction.action = 'set' then correction.value_set else cell.value end as value,
    period.publication_status,
    trim(cell.period_key) as source_period,
    cell.snapshot_id
from raw.cell as cell
inner join raw.period as period
    on cell.table_id = period.table_id
    and cell.measure_id = period.measure_id
    and cell.period_key = period.period_key
inner join catalogue.table_info as table_info
    on cell.table_id = table_info.table_id
left join catalogue.correction as correction
    on cell.table_id = correction.table_id
    and cell.measure_id = correction.measure_id
    and trim(cell.region_key) = correction.region_code
    and trim(cell.period_key) = correction.source_period
    and cell.value is not distinct from correction.value_expected
-- gate 1 refuses a figure of an unknown region; what is left without a code here has no figure
where not list_contains(table_info.foreign_codes, trim(cell.region_key))
    and case when correction.action = 'set' then correction.value_set else cell.value end is not null
    and correction.action is distinct from 'drop'
