-- Larger regions from their municipalities, after filling (method, par. 3): the weighted mean over
-- a set of municipalities that is fixed for the whole series.
-- grain: indicator_id, region_code, year
with municipal as (
    select cell.*, population_base.population
    from intermediate.cell as cell
    inner join intermediate.population_base as population_base
        on cell.region_code = population_base.region_code
    where cell.value is not null and cell.weight is not null
),

member as (
    select
        membership.region_code as larger_code,
        municipal.indicator_id,
        municipal.year,
        municipal.era,
        municipal.cell_status,
        municipal.value,
        municipal.weight,
        municipal.obs_first_year,
        municipal.obs_last_year,
        municipal.publication_status,
        municipal.source_period,
        municipal.population
    from municipal
    inner join intermediate.aggregate_member as aggregate_member
        on municipal.indicator_id = aggregate_member.indicator_id
        and municipal.region_code = aggregate_member.municipality_code
    inner join staging.membership as membership
        on municipal.region_code = membership.municipality_code
),

region_population as (
    select membership.region_code, sum(population_base.population) as population
    from staging.membership as membership
    inner join intermediate.population_base as population_base
        on membership.municipality_code = population_base.region_code
    group by membership.region_code
),

-- members with the same origin of their value, with their share of the weight
origin as (
    select
        member.indicator_id,
        member.larger_code,
        member.year,
        member.era,
        member.cell_status,
        member.obs_first_year,
        member.obs_last_year,
        member.publication_status,
        member.source_period,
        sum(member.weight * member.value) as weighted_value,
        sum(member.weight) as weight,
        sum(member.population) as population
    from member
    group by all
),

-- cumulative share of the weight, from the newest (oldest) observation on: an aggregate rests on an
-- observation of a year if members with 80 % of its weight do
ranked as (
    select
        origin.*,
        sum(origin.weight) over newest_first / sum(origin.weight) over whole as share_as_new,
        sum(origin.weight) over oldest_first / sum(origin.weight) over whole as share_as_old,
        sum(case when origin.cell_status = 'observed' then origin.weight else 0 end) over whole
            / sum(origin.weight) over whole as observed_share,
        sum(origin.weight) over same_status as status_weight
    from origin
    window
        whole as (partition by origin.indicator_id, origin.larger_code, origin.year),
        newest_first as (
            partition by origin.indicator_id, origin.larger_code, origin.year
            order by origin.obs_last_year desc
        ),
        oldest_first as (
            partition by origin.indicator_id, origin.larger_code, origin.year
            order by origin.obs_first_year
        ),
        same_status as (
            partition by origin.indicator_id, origin.larger_code, origin.year, origin.cell_status
        )
)

select
    ranked.indicator_id,
    ranked.larger_code as region_code,
    ranked.year,
    any_value(ranked.era) as era,
    case
        when any_value(ranked.observed_share) >= any_value(method.aggregate_coverage_share)
            then 'observed'
        else arg_max(ranked.cell_status, (ranked.status_weight, ranked.cell_status))
            filter (where ranked.cell_status <> 'observed')
    end as cell_status,
    sum(ranked.weighted_value) / sum(ranked.weight) as value,
    sum(ranked.weight) as weight,
    min(ranked.obs_first_year) filter (
        where ranked.share_as_old >= method.aggregate_coverage_share - method.comparison_tolerance
    ) as obs_first_year,
    max(ranked.obs_last_year) filter (
        where ranked.share_as_new >= method.aggregate_coverage_share - method.comparison_tolerance
    ) as obs_last_year,
    case
        when bool_or(ranked.publication_status = 'onbekend') then 'onbekend'
        when bool_or(ranked.publication_status = 'voorlopig') then 'voorlopig'
        when bool_or(ranked.publication_status = 'nader_voorlopig') then 'nader_voorlopig'
        else 'definitief'
    end as publication_status,
    arg_max(ranked.source_period, (ranked.weight, ranked.source_period)) as source_period,
    sum(ranked.population) / any_value(region_population.population) as weight_covered_share
from ranked
inner join region_population on ranked.larger_code = region_population.region_code
cross join catalogue.method as method
group by ranked.indicator_id, ranked.larger_code, ranked.year
