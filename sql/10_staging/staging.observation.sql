-- One row per observed figure as the source gives it: region and year readable, nothing judged.
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
    cell.value,
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
-- gate 1 refuses a figure of an unknown region; what is left without a code here has no figure
where not list_contains(table_info.foreign_codes, trim(cell.region_key))
    and cell.value is not null
