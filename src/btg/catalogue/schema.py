"""The schema of the catalogue: what each file may say, and what it means.

Every model forbids unknown keys, so a misspelt key is an error that names file and key.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
RegionCode = Annotated[str, Field(pattern=r"^(GM|CR|PV|NL)\d{2,4}$")]
RegionLevel = Literal["gemeente", "corop", "provincie", "land"]
TransformName = Literal["identity", "log", "sqrt", "logit"]
ErrorModel = Literal["none", "poisson", "published_margin", "empirical", "unknown"]
PublicationStatus = Literal["definitief", "nader_voorlopig", "voorlopig", "onbekend"]

LEVEL_PREFIX: dict[str, str] = {"gemeente": "GM", "corop": "CR", "provincie": "PV", "land": "NL"}
"""First two letters of a region code, per region level."""


class Record(BaseModel):
    """A frozen record that refuses unknown keys and does not guess types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Measure(Record):
    """One series of a table: a topic by its title path, within a choice of dimension items."""

    id: Identifier = Field(description="Stable name of the series within its table.")
    path: list[str] = Field(
        min_length=1,
        description="Title path of the topic through its groups, outermost first; never a key "
        "with a numeric suffix. For an edition file: the name of the column.",
    )
    also_paths: list[list[str]] = Field(
        default_factory=list,
        description="Other title paths under which the same topic has been published, each one "
        "reviewed: headings come and go at redesigns of a table.",
    )
    select: dict[str, str] = Field(
        default_factory=dict,
        description="Item per further dimension, trimmed, for example SoortMisdrijf: '1.1.1'.",
    )
    unit: str = Field(description="Unit as the source gives it in DataProperties.")
    minimum: float | None = Field(default=None, description="Least value that can be true.")
    maximum: float | None = Field(default=None, description="Greatest value that can be true.")
    datatypes: list[str] = Field(
        default_factory=lambda: ["Double", "Float", "Long", "Integer"],
        description="Datatypes of DataProperties under which the series is accepted.",
    )
    merge: Literal["sum", "mean", "median"] = Field(
        description="How the series of merged municipalities combine: counts are summed, means "
        "and rates are weighted, medians cannot be combined."
    )


class EditionFile(Record):
    """How one edition of a file is read; anything else than this is refused."""

    columns: dict[str, Literal["String", "Int64", "Float64"]] = Field(
        description="Every column of the header, in order, with its type."
    )
    region_column: str
    period_column: str
    period_pattern: str = Field(
        default=r"^(\d{4})$",
        description="Rows whose period does not match are no part of the series; the one group "
        "is the year.",
    )
    key: list[str] = Field(description="Columns that name a row; no two rows share them.")
    ignored_periods: str | None = Field(
        default=None,
        description="Pattern of periods that are known and left out; any other is an error.",
    )


class StatusRule(Record):
    """Where the publication status of a table comes from."""

    kind: Literal["perioden_status", "perioden_prose", "none"]
    groups: dict[str, list[str]] = Field(
        default_factory=dict,
        description="perioden_prose only: phrase in the period's description -> measures that it "
        "speaks of. A measure that no phrase speaks of is 'onbekend'.",
    )


class Table(Record):
    """One table of a source, and the slice of it that is used."""

    id: str = Field(pattern=r"^[A-Za-z0-9_]+$", description="Identifier at the source.")
    source_id: Identifier
    kind: Literal["odata_v3", "edition_file"] = "odata_v3"
    role: Literal["figures", "areas"] = Field(
        default="figures", description="areas: municipality -> COROP area -> province."
    )
    status: Literal["used", "declared"] = Field(
        default="used", description="declared: known at the source, not yet part of the build."
    )
    title: str = Field(description="Title as published.")
    title_pattern: str | None = Field(
        default=None,
        description="For yearly re-issued tables: regular expression on the title, "
        "case- and accent-insensitive, with one group (\\d{4}) for the year; highest year wins.",
    )
    geo_dimension: str = Field(description="Dimension that holds the region codes.")
    time_dimension: str | None = Field(
        default="Perioden",
        description="Dimension that holds the periods; absent in one-year tables.",
    )
    only_year: int | None = Field(
        default=None, description="Year of a table without a time dimension."
    )
    region_levels: list[RegionLevel] = Field(
        description="Levels that are requested; those that must have rows are in required_levels."
    )
    required_levels: list[RegionLevel] = Field(
        default=["gemeente"],
        description="Levels that every delivery must have, all 14 municipalities in any case.",
    )
    selection: dict[str, list[str]] = Field(
        default_factory=dict,
        description="Items requested per further dimension, trimmed; the padding is read from the "
        "dimension's own keys.",
    )
    measures: list[Measure] = Field(default_factory=list)
    file: EditionFile | None = None
    borders: Literal["period"] | int = Field(
        description="Municipal borders of the figures: 'period' = those of each figure's own year, "
        "a year = those of 1 January of that year for all periods."
    )
    foreign_codes: list[str] = Field(
        default_factory=list,
        description="Codes that occur and are no region, for example 'not assigned'.",
    )
    status_rule: StatusRule
    known_zero: bool = Field(
        default=True,
        description="False where the source stores missing as zero: zeros are refused.",
    )
    row_tolerance_share: float = Field(
        default=0.1, description="Rows may fall by this share against the last accepted delivery."
    )
    null_tolerance_share: float = Field(
        default=0.1, description="The null share of a used column may rise by this much."
    )
    max_age_days: int = Field(description="Older than this since the last good check is too old.")
    expected_month: str | None = Field(default=None, description="When new figures usually come.")
    landing_page: str | None = None
    retries: int | None = None
    timeout_s: float | None = None
    note: str = Field(default="", description="What a user of the table must know.")


class SourceEntry(Record):
    """A provider of tables: who, where, under which licence."""

    id: Identifier
    name: str
    provider: str
    service: Literal["cbs", "dataderden", "file"] = Field(
        description="cbs and dataderden are OData v3 services whose address is in the environment."
    )
    licence: str
    attribution: str = Field(description="Citation to print beside a figure.")
    note: str = ""


class Break(Record):
    """A break in a series."""

    year: int = Field(description="First year after the break.")
    kind: Literal["level", "definition"]
    reason: str


class MeasureRef(Record):
    """A series of a table."""

    table: str
    measure: Identifier


class SupportSeries(Record):
    """A series that is no indicator but carries others, such as the population."""

    id: Identifier
    label_nl: str
    label_en: str
    unit: str
    measures: list[MeasureRef] = Field(
        min_length=1,
        description="In order of preference; where two have a value, they must be equal within "
        "tolerance_share (a finding if not).",
    )
    tolerance_share: float = 0.001


class Reconciliation(Record):
    """What a published figure of a larger region may differ from the aggregated one."""

    tolerance: float = Field(gt=0, description="Greatest absolute difference, in the unit.")
    reason: str


class Indicator(Record):
    """One indicator: one observed series of one edition of one source."""

    id: Identifier
    dimension: Identifier
    label_nl: str
    label_en: str
    description_nl: str
    description_en: str
    answers: Literal["question", "name"] = Field(
        description="Whether it answers the question that the dimension asks, or only its name."
    )
    unit: str
    polarity: Literal[-1, 1]
    polarity_reason: str
    transform: TransformName = "identity"
    numerator: MeasureRef
    denominator: MeasureRef | Identifier | None = Field(
        default=None, description="A series of a table, or the id of a support series."
    )
    factor: float = Field(default=1.0, description="value = factor * numerator / denominator.")
    relative: bool = Field(
        default=False,
        description="Divide by the Netherlands of the same year: enters levels and change_vs_nl, "
        "never the absolute matched change.",
    )
    minimum: float | None = None
    maximum: float | None = None
    survey: bool = Field(description="A sample survey or a model based on one, not a register.")
    missing_rule: Literal["standard", "observed_only"] = Field(
        default="standard",
        description="standard: method 5 (interpolate, carry); observed_only: no filling.",
    )
    breaks: list[Break] = Field(default_factory=list)
    error_model: ErrorModel
    error_reason: str
    in_index: bool
    in_index_reason: str
    weight: float = Field(default=0.0, ge=0, le=1, description="Weight within its dimension.")
    reconciliation: Reconciliation | None = None
    warnings: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _weight_matches_role(self) -> "Indicator":
        if self.in_index and not self.weight > 0:
            raise ValueError(f"indicator {self.id} is in the index but has no weight")
        if not self.in_index and self.weight != 0:
            raise ValueError(f"indicator {self.id} is context but has a weight")
        return self


class Dimension(Record):
    """One of the eleven dimensions and the question that it asks."""

    id: Identifier
    position: int
    label_nl: str
    label_en: str
    question_nl: str
    weight: float = Field(gt=0, le=1)
    thin_reason: str | None = Field(default=None, description="Why it rests on few indicators.")


KeyMark = Literal["C", "C-v4", "R"]


class DeclaredTopic(Record):
    """A topic of a declared table that would improve the index, by what is known of it."""

    indicator_id: Identifier
    dimension: Identifier
    label_nl: str
    label_en: str
    title: str = Field(description="Title of the topic; its path is resolved live.")
    group: str | None = Field(default=None, description="Title of a group above it, if repeated.")
    key_mark: KeyMark = Field(description="C confirmed in v3, C-v4 only in v4, R recalled.")
    would_improve: str


class DeclaredTable(Record):
    """A live table whose id is confirmed, not yet part of the build."""

    id: str = Field(pattern=r"^[A-Za-z0-9_]+$")
    source_id: Identifier
    status: Literal["declared"]
    title: str
    title_pattern: str | None = Field(
        default=None, description="For yearly re-issued tables, see Table.title_pattern."
    )
    id_mark: KeyMark
    note: str = ""
    topics: list[DeclaredTopic] = Field(min_length=1)


class PeerCriterion(Record):
    """What makes municipalities similar; never an outcome of the index."""

    id: Identifier
    table: str
    measure: Identifier
    is_log: bool = Field(description="Compare logarithms: twice as large counts the same anywhere.")


class Method(Record):
    """Every number of the method that a reader may want to change."""

    method_version: str
    base_year: int
    grid_first_year: int
    observation_first_year: int
    score_centre: float
    score_spread: float
    clip_lower_share: float
    clip_upper_share: float
    skewness_limit: float
    kurtosis_limit: float
    base_interpolation_years: int
    base_substitution_years: int
    interpolation_gap_years: int
    carry_years: int
    dimension_coverage_share: float
    index_min_dimensions: int
    change_min_dimensions: int
    change_dimension_coverage_share: float
    aggregate_coverage_share: float
    aggregate_last_year: int
    index_year_weight_share: float
    index_year_region_share: float
    common_set_share: float
    comparison_tolerance: float
    direction_share: float
    direction_z: float
    weight_draws: int
    weight_draw_concentration: float
    random_seed: int
    error_rate_persons: float
    alternative_bases: list[list[int]] = Field(
        description="Other bases for analysis: the mean of these years instead of the base year."
    )
    trend_years: int
    trend_min_points: int
    trend_significance: float
    position_share: float
    correlation_redundant: float
    correlation_negative: float
    correlation_weak: float
    alpha_acceptable: float
    n_strengths: int
    validity_max_lag_years: int
    n_peers: int
    peer_criteria: list[PeerCriterion]
    n_twente: int
    audit_reversal_errors: float
    audit_reversal_warning_errors: float
    audit_agreement_errors: float
    audit_step_errors: float
    audit_spread_share: float
    audit_rate_persons: float
    audit_index_distance: float
    audit_score_distance: float
    audit_partial_year_share: float
    audit_identical_share: float
    audit_mixed_base_share: float
    audit_ruler_share: float
    audit_provisional_share: float
    audit_twente_tolerance_share: float


class Correction(Record):
    """A cell of a source that is wrong or odd: what is done with it, as long as it is so."""

    table: str
    measure: Identifier
    region: RegionCode = Field(description="Code at the source, trimmed.")
    period: str = Field(description="Period key at the source, trimmed.")
    action: Literal["keep", "drop", "set"] = Field(
        description="keep: odd, but reviewed, so that no audit stops at it; drop: becomes missing; "
        "set: another value is used."
    )
    expect: float | None = Field(
        description="Value that the provider has now; with another the action rests and a warning "
        "asks for a review."
    )
    value: float | None = Field(default=None, description="With action set: the value to use.")
    reason: str = Field(min_length=20)
    reported: str = Field(description="When and to whom it was reported, or that it was not.")

    @model_validator(mode="after")
    def _value_matches_action(self) -> "Correction":
        if (self.value is not None) != (self.action == "set"):
            raise ValueError("give value with action set, and only then")
        return self


class Exclusion(Record):
    """A series that was considered and left out."""

    series: str
    source: str
    dimension: Identifier
    reason: str


class Municipality(Record):
    """A municipality, present or past."""

    code: RegionCode
    name: str
    first_year: int | None = None
    last_year: int | None = None


class NamedRegion(Record):
    """A larger region."""

    code: RegionCode
    name: str


class Recipient(Record):
    """Where the inhabitants of a dissolved municipality went."""

    code: RegionCode
    share: float | None = Field(
        default=1.0, description="Share of its inhabitants; null = unknown."
    )


class BorderChange(Record):
    """A change of borders that changes the set of codes, in force on 1 January of the year."""

    year: int
    kind: Literal["merger", "split", "recode"]
    from_: list[RegionCode] = Field(alias="from")
    to: list[Recipient]
    source: str | None = None
    note: str | None = None


class TwenteRegion(Record):
    """The region of the product."""

    corop_code: RegionCode
    province_code: RegionCode
    municipalities: list[RegionCode]


class Regions(Record):
    """All regions and border changes."""

    country: NamedRegion
    twente: TwenteRegion
    provinces: list[NamedRegion]
    corop_areas: list[NamedRegion]
    municipalities: list[Municipality]
    changes: list[BorderChange]


class PublishedSurveyFigure(Record):
    """A figure or statement of the published resident survey; shown beside, never mixed in."""

    edition_year: int
    region_code: RegionCode
    grade: float | None
    statement_nl: str
    source: str


class SurveyStatement(Record):
    """A statement of the published survey, as a check of the index; never used to calibrate it."""

    id: Identifier
    edition_year: int
    statement_nl: str
    kind: Literal["above", "highest", "lowest", "not_testable"] = Field(
        description="above: every region stands above the reference; highest (lowest): the regions "
        "are the top (bottom) of the 14, in any order; not_testable: see reason."
    )
    regions: list[RegionCode] = Field(default_factory=list)
    reference: RegionCode | None = None
    reason: str = Field(default="", description="Why it cannot be tested.")

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "SurveyStatement":
        if (self.kind == "not_testable") != bool(self.reason):
            raise ValueError(f"statement {self.id}: give a reason if it is not testable, only then")
        if (self.kind == "above") != (self.reference is not None):
            raise ValueError(f"statement {self.id}: give a reference with kind above, only then")
        if (self.kind == "not_testable") == bool(self.regions):
            raise ValueError(f"statement {self.id}: name the regions that it speaks of")
        return self


class ColumnEntry(Record):
    """What one column means, wherever it occurs."""

    type: str = Field(description="DuckDB type.")
    description: str
    unit: str | None = None
    allowed: list[str] | None = None
    minimum: float | None = None
    maximum: float | None = None
    nullable: bool = True


class TableEntry(Record):
    """A published table: grain and columns, in order."""

    description: str
    grain: list[str]
    columns: list[str]
    not_null: list[str] = Field(default_factory=list)
    has_municipalities: bool = Field(
        default=True, description="False where only larger regions have rows."
    )


class Dictionary(Record):
    """The data dictionary: one meaning per column name."""

    columns: dict[str, ColumnEntry]
    tables: dict[str, TableEntry]
