-- One grid: every indicator, region with observations of its own, and year, filled by method par. 5
-- (interpolated, substituted in the base year, carried) inside one definition of the series.
-- Municipalities from their observations, larger regions as far as published.
-- grain: indicator_id, region_code, year
with calendar as (
    select unnest(generate_series(
        (select method.observation_first_year from catalogue.method as method),
        (select max(observation.year) from intermediate.observation as observation
            where observation.value is not null)
    ))::integer as year
),

series as (
    select indicator.indicator_id, region.region_code
    from catalogue.indicator as indicator
    cross join catalogue.region as region
    where region.region_level = 'gemeente'
    union
    select distinct observation.indicator_id, observation.region_code
    from intermediate.observation as observation
    inner join catalogue.region as region on observation.region_code = region.region_code
    where observation.region_code not like 'GM%'
),

grid as (
    select
        series.indicator_id,
        series.region_code,
        calendar.year,
        -- the number of definition breaks up to this year: nothing is filled across one
        (
            select count(*)
            from catalogue.break as break
            where break.indicator_id = series.indicator_id
                and break.kind = 'definition'
                and break.year <= calendar.year
        ) as era,
        observation.value,
        observation.weight,
        observation.missing_reason,
        observation.publication_status,
        observation.source_period
    from series
    cross join calendar
    left join intermediate.observation as observation
        on series.indicator_id = observation.indicator_id
        and series.region_code = observation.region_code
        and calendar.year = observation.year
),

neighbour as (
    select
        grid.*,
        last_value(case when grid.value is not null then struct_pack(
            year := grid.year, value := grid.value, weight := grid.weight,
            status := grid.publication_status, period := grid.source_period
        ) end ignore nulls) over backward as before,
        first_value(case when grid.value is not null then struct_pack(
            year := grid.year, value := grid.value, weight := grid.weight,
            status := grid.publication_status, period := grid.source_period
        ) end ignore nulls) over forward as after
    from grid
    window
        backward as (
            partition by grid.indicator_id, grid.region_code, grid.era
            order by grid.year rows between unbounded preceding and current row
        ),
        forward as (
            partition by grid.indicator_id, grid.region_code, grid.era
            order by grid.year rows between current row and unbounded following
        )
),

classified as (
    select
        neighbour.*,
        case
            when neighbour.value is not null then 'observed'
            when indicator.missing_rule = 'observed_only' then 'missing'
            when neighbour.year = method.base_year then case
                when neighbour.year - neighbour.before.year <= method.base_interpolation_years
                    and neighbour.after.year - neighbour.year <= method.base_interpolation_years
                    then 'interpolated'
                when neighbour.year - neighbour.before.year <= method.base_substitution_years
                    or neighbour.after.year - neighbour.year <= method.base_substitution_years
                    then 'substituted'
                else 'missing'
            end
            when neighbour.after.year - neighbour.before.year <= method.interpolation_gap_years
                then 'interpolated'
            when neighbour.year - neighbour.before.year <= method.carry_years then 'carried'
            else 'missing'
        end as cell_status
    from neighbour
    inner join catalogue.indicator as indicator
        on neighbour.indicator_id = indicator.indicator_id
    cross join catalogue.method as method
),

sourced as (
    select
        classified.*,
        case classified.cell_status
            when 'observed' then [classified.before]
            when 'interpolated' then [classified.before, classified.after]
            when 'carried' then [classified.before]
            when 'substituted' then [case
                when classified.after.year is null then classified.before
                when classified.before.year is null then classified.after
                when classified.after.year - classified.year < classified.year - classified.before.year
                    then classified.after
                else classified.before
            end]
        end as origin
    from classified
)

select
    sourced.indicator_id,
    sourced.region_code,
    sourced.year,
    sourced.era,
    sourced.cell_status,
    case
        when sourced.cell_status = 'interpolated' then
            sourced.before.value + (sourced.after.value - sourced.before.value)
            * (sourced.year - sourced.before.year) / (sourced.after.year - sourced.before.year)
        else sourced.origin[1].value
    end as value,
    case
        when sourced.cell_status = 'interpolated' then
            sourced.before.weight + (sourced.after.weight - sourced.before.weight)
            * (sourced.year - sourced.before.year) / (sourced.after.year - sourced.before.year)
        else sourced.origin[1].weight
    end as weight,
    sourced.missing_reason as source_reason,
    sourced.origin[1].year as obs_first_year,
    sourced.origin[-1].year as obs_last_year,
    case
        when sourced.origin is null then null
        when list_contains(list_transform(sourced.origin, lambda o: o.status), 'onbekend') then 'onbekend'
        when list_contains(list_transform(sourced.origin, lambda o: o.status), 'voorlopig') then 'voorlopig'
        when list_contains(list_transform(sourced.origin, lambda o: o.status), 'nader_voorlopig')
            then 'nader_voorlopig'
        else 'definitief'
    end as publication_status,
    array_to_string(list_transform(sourced.origin, lambda o: o.period), '/') as source_period
from sourced
