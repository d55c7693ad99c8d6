-- Which years are index years (method, par. 5): half of the national index weight observed or
-- interpolated, 90 % of the municipalities with an index, every dimension for 90 % of them; and
-- connected with the base year.
-- grain: year
with national as (
    select candidate.year, candidate.near_observed_share
    from intermediate.index_candidate as candidate
    inner join catalogue.region as region on candidate.region_code = region.region_code
    where region.region_level = 'land'
),

municipal as (
    select candidate.year, count(candidate.score) / count(*) as index_share
    from intermediate.index_candidate as candidate
    inner join catalogue.region as region on candidate.region_code = region.region_code
    where region.region_level = 'gemeente'
    group by candidate.year
),

dimensional as (
    select per_dimension.year, min(per_dimension.dimension_share) as least_dimension_share
    from (
        select
            dimension_score.year,
            dimension_score.dimension_id,
            count(dimension_score.score) / count(*) as dimension_share
        from intermediate.dimension_score as dimension_score
        inner join catalogue.region as region on dimension_score.region_code = region.region_code
        where region.region_level = 'gemeente'
        group by dimension_score.year, dimension_score.dimension_id
    ) as per_dimension
    group by per_dimension.year
),

judged as (
    select
        national.year,
        national.near_observed_share,
        municipal.index_share,
        dimensional.least_dimension_share,
        national.near_observed_share + method.comparison_tolerance >= method.index_year_weight_share
            and municipal.index_share + method.comparison_tolerance >= method.index_year_region_share
            and dimensional.least_dimension_share + method.comparison_tolerance
                >= method.index_year_region_share as fulfils_rule
    from national
    inner join municipal on national.year = municipal.year
    inner join dimensional on national.year = dimensional.year
    cross join catalogue.method as method
),

connected as (
    select
        judged.*,
        judged.fulfils_rule and not exists (
            select 1
            from judged as gap
            cross join catalogue.method as method
            where not gap.fulfils_rule
                and gap.year between least(judged.year, method.base_year)
                    and greatest(judged.year, method.base_year)
        ) as is_index_year
    from judged
)

select
    connected.year,
    connected.near_observed_share,
    connected.index_share,
    connected.least_dimension_share,
    connected.fulfils_rule,
    connected.is_index_year
from connected
