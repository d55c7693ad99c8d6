-- grain: statement_id
-- What the published resident survey says, held against the index of the last index year not after
-- the edition. Reported, never used to calibrate.
with compared as (
    select
        statement.*,
        (
            select max(index_year.year)
            from meta.index_year as index_year
            where index_year.is_index_year and index_year.year <= statement.edition_year
        ) as compared_year
    from catalogue.survey_statement as statement
),

placed as (
    select
        btg_index.region_code,
        btg_index.year,
        btg_index.score,
        rank() over (partition by btg_index.year order by btg_index.score desc) as place_from_top,
        rank() over (partition by btg_index.year order by btg_index.score) as place_from_bottom
    from marts.btg_index as btg_index
    where btg_index.is_twente and btg_index.score is not null
),

judged as (
    select
        compared.statement_id,
        compared.edition_year,
        compared.statement_nl,
        compared.kind,
        compared.reason,
        compared.compared_year,
        len(compared.regions) as n_regions,
        (
            select bool_and(own.score > reference.score)
            from marts.btg_index as own
            inner join marts.btg_index as reference on own.year = reference.year
            where own.year = compared.compared_year
                and list_contains(compared.regions, own.region_code)
                and reference.region_code = compared.reference
        ) as is_above,
        (
            select count(*) from placed
            where placed.year = compared.compared_year
                and list_contains(compared.regions, placed.region_code)
                and placed.place_from_top <= len(compared.regions)
        ) as n_at_top,
        (
            select count(*) from placed
            where placed.year = compared.compared_year
                and list_contains(compared.regions, placed.region_code)
                and placed.place_from_bottom <= len(compared.regions)
        ) as n_at_bottom
    from compared
)

select
    judged.statement_id,
    judged.edition_year,
    judged.statement_nl,
    judged.kind as statement_kind,
    case when judged.kind <> 'not_testable' then judged.compared_year end as compared_year,
    case
        when judged.kind = 'not_testable' then 'not_testable'
        when judged.compared_year is null
            or judged.edition_year - judged.compared_year > method.validity_max_lag_years then 'not_testable'
        when judged.kind = 'above' then case when judged.is_above then 'agrees' else 'does_not_agree' end
        when judged.kind = 'highest'
            then case when judged.n_at_top = judged.n_regions then 'agrees' else 'does_not_agree' end
        when judged.n_at_bottom = judged.n_regions then 'agrees'
        else 'does_not_agree'
    end as verdict,
    case judged.kind
        when 'not_testable' then judged.reason
        when 'above' then 'score of the index above that of the reference'
        when 'highest' then judged.n_at_top || ' of ' || judged.n_regions || ' at the top of the 14'
        else judged.n_at_bottom || ' of ' || judged.n_regions || ' at the bottom of the 14'
    end as finding
from judged
cross join meta.method as method
order by judged.edition_year, judged.statement_id
