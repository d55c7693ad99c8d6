-- Index and rank of every region and index year under other weights of the dimensions, with the same
-- rules for what is missing. Call in the opened file:
--   from marts.reweighted(map {'gezondheid': 0.5, 'veiligheid': 0.5}) where year = 2022;
-- A dimension that is not named weighs nothing. Weights that do not sum to 1, are negative or name an
-- unknown dimension are an error.
create or replace macro marts.reweighted(weights) as table
with given as (
    select unnest(map_keys(weights)) as dimension_id, unnest(map_values(weights)) as weight
),

checked as (
    select
        case
            when count(*) filter (where dimension.dimension_id is null) > 0 then error(
                'unknown dimension: '
                || string_agg(given.dimension_id, ', ') filter (where dimension.dimension_id is null)
            )
            when min(given.weight) < 0 or count(given.weight) < count(*) then error(
                'a weight must be a number of 0 or more: '
                || string_agg(given.dimension_id, ', ') filter (where given.weight is null or given.weight < 0)
            )
            when abs(sum(given.weight) - 1) > any_value(method.comparison_tolerance) then error(
                'the weights of ' || string_agg(given.dimension_id, ', ') || ' sum to '
                || sum(given.weight) || ', not 1'
            )
            else true
        end as is_valid
    from given
    cross join meta.method as method
    left join meta.dimension as dimension on given.dimension_id = dimension.dimension_id
),

weighed as (
    select
        dimension_score.region_code,
        dimension_score.year,
        sum(given.weight * dimension_score.score)
            / nullif(sum(given.weight) filter (where dimension_score.score is not null), 0) as score,
        count(dimension_score.score) / count(*) as present_share
    from marts.dimension_score as dimension_score
    inner join given on dimension_score.dimension_id = given.dimension_id
    where given.weight > 0
    group by dimension_score.region_code, dimension_score.year
),

judged as (
    select
        weighed.region_code,
        region.region_name,
        region.region_level,
        region.is_twente,
        weighed.year,
        case
            when weighed.present_share + method.comparison_tolerance
                >= method.index_min_dimensions / (select count(*) from meta.dimension as dimension)
                then weighed.score
        end as score
    from weighed
    inner join meta.region as region on weighed.region_code = region.region_code
    inner join meta.index_year as index_year on weighed.year = index_year.year
    cross join meta.method as method
    cross join checked
    where index_year.is_index_year and checked.is_valid
)

select
    judged.region_code,
    judged.region_name,
    judged.region_level,
    judged.is_twente,
    judged.year,
    judged.score,
    case when judged.region_level = 'gemeente' and judged.score is not null then rank() over (
        partition by judged.year, judged.region_level order by judged.score desc nulls last
    ) end as rank_nl
from judged
order by judged.year, judged.region_code
