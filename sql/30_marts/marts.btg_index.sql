-- grain: region_code, year
with published as (
    select
        candidate.region_code,
        candidate.year,
        candidate.n_dimensions,
        case when index_year.is_index_year then candidate.score end as score,
        case
            when not index_year.is_index_year then 'outside_index_years'
            when candidate.score is null then 'below_coverage'
        end as null_reason,
        case when index_year.is_index_year then candidate.common_set_score end as common_set_score,
        candidate.coverage_share,
        candidate.provisional_share,
        candidate.status_unknown_share,
        candidate.imputed_share,
        region.region_name,
        region.region_level,
        region.is_twente
    from intermediate.index_candidate as candidate
    inner join catalogue.region as region on candidate.region_code = region.region_code
    inner join intermediate.index_year as index_year on candidate.year = index_year.year
),

ranked as (
    select
        published.region_code,
        published.year,
        rank() over (partition by published.year order by published.score desc) as rank_nl,
        count(*) over (partition by published.year) as n_ranked,
        100 * cume_dist() over (partition by published.year order by published.score) as percentile
    from published
    where published.score is not null and published.region_level = 'gemeente'
),

ranked_common as (
    select
        published.region_code,
        published.year,
        rank() over (partition by published.year order by published.common_set_score desc) as rank_common_set
    from published
    where published.common_set_score is not null and published.region_level = 'gemeente'
)

select
    published.region_code,
    published.region_name,
    published.region_level,
    published.is_twente,
    published.year,
    published.score,
    published.null_reason,
    ranked.rank_nl,
    ranked_common.rank_common_set,
    ranked.n_ranked,
    ranked.percentile,
    interval.rank_p05,
    interval.rank_median,
    interval.rank_p95,
    interval.score_p05,
    interval.score_p95,
    published.coverage_share,
    case when published.score is not null then published.provisional_share end as provisional_share,
    case when published.score is not null then published.status_unknown_share end as status_unknown_share,
    case when published.score is not null then published.imputed_share end as imputed_share,
    published.n_dimensions,
    method.method_version
from published
cross join catalogue.method as method
left join ranked on published.region_code = ranked.region_code and published.year = ranked.year
left join ranked_common
    on published.region_code = ranked_common.region_code and published.year = ranked_common.year
left join uncertainty.interval as interval
    on published.region_code = interval.region_code and published.year = interval.year
order by published.region_code, published.year
