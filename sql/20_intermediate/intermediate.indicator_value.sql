-- The one grid of the index: every region, published year and indicator; null with a reason.
-- grain: region_code, year, indicator_id
with calendar as (
    select distinct cell.year
    from intermediate.cell as cell
    cross join catalogue.method as method
    where cell.year >= method.grid_first_year
),

observed_span as (
    select
        observation.indicator_id,
        min(observation.year) as first_year,
        max(observation.year) as last_year
    from intermediate.observation as observation
    where observation.value is not null and observation.region_code like 'GM%'
    group by observation.indicator_id
),

own_span as (
    select
        observation.indicator_id,
        observation.region_code,
        min(observation.year) as first_year
    from intermediate.observation as observation
    where observation.value is not null
    group by observation.indicator_id, observation.region_code
),

candidate as (
    select
        region.region_code,
        calendar.year,
        indicator.indicator_id,
        route.route,
        case when route.route = 'published' then cell.value
            when aggregate.weight_covered_share >= method.aggregate_coverage_share then aggregate.value
        end as value,
        case when route.route = 'published' then cell.cell_status else aggregate.cell_status end as cell_status,
        case when route.route = 'published' then cell.obs_first_year else aggregate.obs_first_year end as obs_first_year,
        case when route.route = 'published' then cell.obs_last_year else aggregate.obs_last_year end as obs_last_year,
        case when route.route = 'published' then cell.publication_status else aggregate.publication_status end as publication_status,
        case when route.route = 'published' then cell.source_period else aggregate.source_period end as source_period,
        coalesce(cell.era, aggregate.era) as era,
        aggregate.weight_covered_share,
        cell.source_reason,
        indicator.is_survey,
        indicator.default_weight_proxy
    from catalogue.region as region
    cross join calendar
    cross join catalogue.indicator as indicator
    cross join catalogue.method as method
    inner join intermediate.route as route
        on indicator.indicator_id = route.indicator_id
        and region.region_level = route.region_level
    left join intermediate.cell as cell
        on region.region_code = cell.region_code
        and calendar.year = cell.year
        and indicator.indicator_id = cell.indicator_id
    left join intermediate.aggregate as aggregate
        on region.region_code = aggregate.region_code
        and calendar.year = aggregate.year
        and indicator.indicator_id = aggregate.indicator_id
)

select
    candidate.region_code,
    candidate.year,
    candidate.indicator_id,
    candidate.route,
    candidate.value,
    case when candidate.value is null then 'missing' else candidate.cell_status end as cell_status,
    case
        when candidate.value is not null then null
        when candidate.year < observed_span.first_year then 'before_series'
        when candidate.route = 'aggregated' and candidate.year > observed_span.last_year then 'not_yet_published'
        when candidate.route = 'aggregated' then 'below_coverage'
        when own_span.first_year is null and candidate.is_survey then 'not_surveyed'
        when candidate.source_reason is not null then candidate.source_reason
        when own_span.first_year is null then 'null_in_source'
        when candidate.year < own_span.first_year then 'before_series'
        when candidate.year > observed_span.last_year then 'not_yet_published'
        when candidate.year = method.base_year then 'no_base'
        else 'beyond_carry'
    end as missing_reason,
    case when candidate.value is not null then candidate.obs_first_year end as obs_first_year,
    case when candidate.value is not null then candidate.obs_last_year end as obs_last_year,
    case when candidate.value is not null then candidate.publication_status end as publication_status,
    case when candidate.value is not null then candidate.source_period end as source_period,
    candidate.era,
    case
        when candidate.value is null then null
        when candidate.route = 'published' then 1.0
        else candidate.weight_covered_share
    end as weight_covered_share,
    case
        when candidate.route = 'aggregated' and candidate.value is not null
            then candidate.default_weight_proxy
    end as weight_proxy,
    snapshot.snapshot_id
from candidate
cross join catalogue.method as method
left join observed_span on candidate.indicator_id = observed_span.indicator_id
left join own_span
    on candidate.indicator_id = own_span.indicator_id
    and candidate.region_code = own_span.region_code
left join catalogue.indicator as indicator on candidate.indicator_id = indicator.indicator_id
left join raw.accepted as snapshot on indicator.num_table = snapshot.table_id
