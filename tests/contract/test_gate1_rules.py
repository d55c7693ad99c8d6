"""Gate 1 on real figures: each rule refuses one mutated answer, and lets what is odd but true pass.

The figures are those of the seed, served over the loopback service, so that every delivery has come
through the same door as a live one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.support import mutations as m
from tests.support.odata_server import ODataServer
from tests.support.store import Store, load_snapshots
from tests.support.tables import quick_settings

from btg import contracts
from btg.catalogue.loader import Catalogue
from btg.catalogue.schema import Table
from btg.errors import ContractError, SourceError
from btg.raw import Snapshot, SnapshotStore
from btg.settings import load_settings
from btg.sources.cbs import CbsSource
from btg.sources.protocol import DATA_ENTITY, Delivery

HEALTH, CRIME, PRICES = "50150NED", "47018NED", "83625NED"
GEO = "WijkenEnBuurten"
HEALTHY = ["Goed ervaren gezondheid"]
CRIMES = ["Geregistreerde misdrijven"]
PRICE = ["Gemiddelde verkoopprijs"]

Mutation = Callable[[Store], Store]


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue) -> SnapshotStore:
    """The committed seed, in use under a folder of its own."""
    root = tmp_path_factory.mktemp("seed")
    store = SnapshotStore(root, load_settings({"BTG_HOME": str(root)}).seed_raw_dir)
    for table in catalogue.used_tables():
        assert store.adopt_seed(table) is not None, table.id
    return store


@pytest.fixture(scope="module")
def served(seed: SnapshotStore) -> Store:
    """The service: one small table whole, two large ones in their last years."""
    store = load_snapshots(seed.root, [HEALTH, CRIME, PRICES])
    return periods_between(periods_between(store, CRIME, 2016, 2025), PRICES, 2022, 2025)


def periods_between(store: Store, table_id: str, first: int, last: int) -> Store:
    """Leave out the rows of other years; the list of periods stays."""
    rows = store[table_id][DATA_ENTITY]
    kept = [row for row in rows if first <= int(row["Perioden"][:4]) <= last]
    info = [{**store[table_id]["TableInfos"][0], "RecordCount": len(kept)}]
    return {**store, table_id: {**store[table_id], DATA_ENTITY: kept, "TableInfos": info}}


@dataclass
class Gate:
    """Gate 1 for one test: a first delivery that is in use, and what is delivered after it."""

    catalogue: Catalogue
    served: Store
    snapshots: SnapshotStore
    sound: dict[str, Delivery]

    def deliver(self, table_id: str, mutation: Mutation | None = None) -> Delivery:
        """Return what the service delivers, whole, after a mutation."""
        tables = {table_id: self.served[table_id]}
        with (
            ODataServer(mutation(tables) if mutation else tables, page_size=100_000) as server,
            CbsSource(server.url, quick_settings(timeout_s=10.0)) as source,
        ):
            return source.fetch(self.catalogue.table(table_id))

    def keep(self, delivery: Delivery, at: str = "2026-11-02T06:00:00+00:00") -> Snapshot:
        """Return the stored snapshot of a delivery."""
        table = self.table(delivery.table_id)
        source = self.catalogue.source(table.source_id)
        return self.snapshots.store(
            table, source, delivery, retrieved_at=at, origin="fetched", origin_note=""
        )

    def table(self, table_id: str) -> Table:
        return self.catalogue.table(table_id)

    def check(self, table_id: str, mutation: Mutation) -> list[str]:
        """Return the notes of gate 1 on a mutated delivery that follows a sound one."""
        if table_id not in self.sound:
            self.sound[table_id] = self.deliver(table_id)
        before = self.keep(self.sound[table_id])
        delivery = self.deliver(table_id, mutation)
        contracts.check_types(self.table(table_id), delivery.entities)
        after = self.keep(delivery, "2026-11-09T06:00:00+00:00")
        return contracts.check_snapshot(self.catalogue, self.table(table_id), after, before)


@pytest.fixture(scope="module")
def sound() -> dict[str, Delivery]:
    return {}


@pytest.fixture
def gate(catalogue: Catalogue, served: Store, sound: dict[str, Delivery], tmp_path: Path) -> Gate:
    return Gate(catalogue, served, SnapshotStore(tmp_path, tmp_path / "no seed"), sound)


# ---- one mutated answer per rule


def as_text(store: Store) -> Store:
    """The figures of a topic arrive as texts, and are declared so."""
    changed = m.change_datatype(store, HEALTH, HEALTHY, "String")
    key = m.topic_key(changed[HEALTH], HEALTHY)
    for row in changed[HEALTH][DATA_ENTITY]:
        row[key] = None if row[key] is None else f"{row[key]} *"
    return changed


def blank_elsewhere(store: Store) -> Store:
    """A fifth of the figures outside the region vanishes."""
    changed = m.blank_values(store, HEALTH, HEALTHY, every=5)
    key, geo = m.topic_key(changed[HEALTH], HEALTHY), GEO
    for old, new in zip(store[HEALTH][DATA_ENTITY], changed[HEALTH][DATA_ENTITY], strict=True):
        if old[geo].strip() in TWENTE:
            new[key] = old[key]
    return changed


def one_year_too_large(store: Store) -> Store:
    changed = m.add_period(store, CRIME, "2026JJ00", "2025JJ00", "Voorlopig")
    key = m.topic_key(changed[CRIME], CRIMES)
    for row in changed[CRIME][DATA_ENTITY]:
        is_met = row[GEO].strip() == "GM0153" and row["Perioden"] == "2026JJ00"
        if is_met and row["SoortMisdrijf"].strip() == "2.2.1":
            row[key] *= 100
    return changed


def twice_as_many_years(store: Store) -> Store:
    for year in (2025, 2026, 2027, 2028):
        store = m.add_period(store, HEALTH, f"{year}JJ00", "2024JJ00", None)
    return store


TWENTE = {
    "GM0141", "GM0147", "GM0153", "GM0158", "GM0163", "GM0164", "GM0168", "GM0173", "GM0183",
    "GM0189", "GM1700", "GM1735", "GM1742", "GM1774",
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A mutation, the rule function that must refuse it, and what the sentence must say."""

    guard: Callable[..., Any]
    rule: str
    table_id: str
    mutation: Mutation
    says: str


CASES = {
    "a unit that changed": Case(
        contracts.check_units, "unit", HEALTH,
        lambda s: m.change_unit(s, HEALTH, HEALTHY, "aandeel"),
        "unit of goed_ervaren_gezondheid is 'aandeel', expected '%'",
    ),
    "a data type that changed": Case(
        contracts.check_units, "datatype", PRICES,
        lambda s: m.change_datatype(s, PRICES, PRICE, "Double"),
        "data type of verkoopprijs changed from Long to Double",
    ),
    "figures that became texts": Case(
        contracts.check_types, "datatype", HEALTH, as_text,
        "data type of goed_ervaren_gezondheid is 'String', expected one of Double",
    ),
    "a fifth of the rows missing": Case(
        contracts.check_rows, "rows", HEALTH, lambda s: m.drop_rows(s, HEALTH, 400),
        "1315 rows, expected at least 1544 (last accepted 1715)",
    ),
    "far more rows than before": Case(
        contracts.check_rows, "rows", HEALTH, twice_as_many_years,
        "3087 rows, more than half as many again as the last accepted 1715",
    ),
    "the country under two codes": Case(
        contracts.check_duplicates, "duplicate", HEALTH,
        lambda s: m.add_region(s, HEALTH, "NL00", like="NL01"),
        "cell goed_ervaren_gezondheid NL01 2012JJ00 occurs more than once",
    ),
    "a municipality of the 14 missing": Case(
        contracts.check_regions_present, "twente", HEALTH,
        lambda s: m.remove_region(s, HEALTH, "GM0168"),
        "no figures for GM0168 of the 14 municipalities",
    ),
    "a promised level missing": Case(
        contracts.check_regions_present, "level", HEALTH,
        lambda s: m.remove_region(s, HEALTH, "NL01"),
        "no row of level land (NL..)",
    ),
    "an unknown municipality": Case(
        contracts.check_regions_known, "region", HEALTH,
        lambda s: m.add_region(s, HEALTH, "GM9901"),
        "unknown region code GM9901: not in regions.yml",
    ),
    "a period of another form": Case(
        contracts.check_periods, "period", PRICES,
        lambda s: m.rename_period(s, PRICES, "2025JJ00", "2025KW04"),
        "period '2025KW04' does not parse: expected yyyyJJ00",
    ),
    "a period that is not listed": Case(
        contracts.check_periods, "period", HEALTH,
        lambda s: m.unlist_period(s, HEALTH, "2024JJ00"),
        "period 2024JJ00 is not in the table's own periods",
    ),
    "a status nobody knows": Case(
        contracts.check_periods, "status", HEALTH,
        lambda s: m.set_status(s, HEALTH, "2024JJ00", "Herzien"),
        "period status 'Herzien' is not known",
    ),
    "one figure of the 14 gone": Case(
        contracts.check_nulls, "vanished", HEALTH,
        lambda s: m.set_value(s, HEALTH, HEALTHY, "GM0164", "2020JJ00", None),
        "1 figures of the 14 municipalities are gone, such as goed_ervaren_gezondheid GM0164 2020",
    ),
    "many figures elsewhere gone": Case(
        contracts.check_nulls, "nulls", HEALTH, blank_elsewhere,
        "329 of 1715 figures of goed_ervaren_gezondheid became missing (19%, tolerance 10%)",
    ),
    "a share above a hundred": Case(
        contracts.check_values, "range", HEALTH,
        lambda s: m.set_value(s, HEALTH, HEALTHY, "GM0153", "2024JJ00", 7510.0),
        "goed_ervaren_gezondheid of GM0153 in 2024JJ00 is 7510, expected 0 to 100",
    ),
    "a count a hundred times too large": Case(
        contracts.check_values, "jump", CRIME,
        lambda s: m.set_value(s, CRIME, CRIMES, "GM0183", "2023JJ00", 3500),
        "GM0183 2023JJ00 changed from",
    ),
    "percentages delivered as shares": Case(
        contracts.check_values, "jump", HEALTH,
        lambda s: m.scale_values(s, HEALTH, HEALTHY, 0.01),
        "(1715 cells by a factor of 10 or more)",
    ),
    "one percentage delivered as a share": Case(
        contracts.check_values, "jump", HEALTH,
        lambda s: m.set_value(s, HEALTH, HEALTHY, "GM0153", "2024JJ00", 0.75),
        "goed_ervaren_gezondheid GM0153 2024JJ00 changed from",
    ),
    "a new year a hundred times too large": Case(
        contracts.check_values, "jump", CRIME, one_year_too_large,
        "vernieling GM0153 2026JJ00 is 82700, the period before 827",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_rule_refuses(gate: Gate, name: str) -> None:
    case = CASES[name]
    with pytest.raises(ContractError) as caught:
        gate.check(case.table_id, case.mutation)
    message = str(caught.value)
    assert caught.value.rule == case.rule, message
    assert case.says in message
    assert case.table_id in message
    assert "\n" not in message


def test_every_rule_of_the_gate_is_seen_to_refuse() -> None:
    seen = {case.guard for case in CASES.values()} - {contracts.check_types}
    assert seen | {contracts.check_unused} == set(contracts.RULES)


def test_a_renamed_topic_never_reaches_the_gate(gate: Gate) -> None:
    with pytest.raises(ContractError) as caught:
        gate.check(HEALTH, lambda s: m.rename_topic(s, HEALTH, HEALTHY, "Ervaren gezondheid goed"))
    assert caught.value.rule == "topic_missing"
    assert "'Goed ervaren gezondheid', found none" in str(caught.value)


def test_a_delivery_without_rows_is_refused(gate: Gate) -> None:
    before = gate.deliver(HEALTH)
    empty = {**before.entities, DATA_ENTITY: before.entities[DATA_ENTITY].clear()}
    after = gate.keep(replace(before, entities=empty))
    with pytest.raises(ContractError, match="rivm/50150NED: has no rows"):
        contracts.check_snapshot(gate.catalogue, gate.table(HEALTH), after, None)


def test_periods_without_their_keys_are_one_sentence_not_a_crash(gate: Gate) -> None:
    delivery = gate.deliver(HEALTH)
    periods = delivery.entities["Perioden"].drop("Key")
    with (
        pytest.raises(ContractError, match="rivm/50150NED: the delivery cannot be read") as caught,
        contracts.readable(gate.table(HEALTH)),
    ):
        gate.keep(replace(delivery, entities={**delivery.entities, "Perioden": periods}))
    assert "\n" not in str(caught.value)


# ---- edition files and areas


def edition(
    gate: Gate, seed: SnapshotStore, table_id: str, change: Callable[[pl.DataFrame], pl.DataFrame]
) -> tuple[Table, Snapshot, Snapshot]:
    """Return the table, the seed snapshot of an edition file, and a changed one."""
    table = gate.table(table_id)
    before = seed.accepted(table)
    frame = before.entities()[DATA_ENTITY]
    delivery = Delivery(
        table_id=table.id,
        title=table.title,
        modified="2026-11-09T00:00:00",
        entities={DATA_ENTITY: change(frame)},
        columns={measure.id: measure.path[0] for measure in table.measures},
        request={"file": "edition.csv"},
    )
    return table, before, gate.keep(delivery)


def test_a_zero_is_refused_where_missing_is_stored_as_zero(gate: Gate, seed: SnapshotStore) -> None:
    is_met = (pl.col("indicator_code") == "01_KL_H_01") & (pl.col("statcode") == "GM0153")
    zero = pl.when(is_met & (pl.col("year") == 2019)).then(0.0).otherwise(pl.col("value"))
    parts = edition(gate, seed, "rmbw_2023", lambda f: f.with_columns(zero.alias("value")))
    table, before, after = parts
    with pytest.raises(ContractError, match="tevreden_leven of GM0153 in 2019 is 0") as caught:
        contracts.check_snapshot(gate.catalogue, table, after, before)
    assert caught.value.rule == "zero"


AREAS = "gemeente_corop_provincie"


@pytest.mark.parametrize(
    ("change", "rule", "says"),
    [
        (lambda f: f.filter(pl.col("statcode") != "GM0153"), "region", "'GM0153'"),
        (
            lambda f: f.with_columns(
                pl.when(pl.col("statcode") == "GM0168")
                .then(pl.lit("CR13"))
                .otherwise(pl.col("corop_code"))
                .alias("corop_code")
            ),
            "twente",
            "'GM0168'",
        ),
        (
            lambda f: f.with_columns(
                pl.when(pl.col("statcode") == "GM0014")
                .then(pl.lit("CR99"))
                .otherwise(pl.col("corop_code"))
                .alias("corop_code")
            ),
            "region",
            "unknown COROP area CR99",
        ),
    ],
    ids=["municipality missing", "not in Twente", "unknown area"],
)
def test_areas_that_do_not_fit_the_regions_are_refused(
    gate: Gate,
    seed: SnapshotStore,
    change: Callable[[pl.DataFrame], pl.DataFrame],
    rule: str,
    says: str,
) -> None:
    table, before, after = edition(gate, seed, AREAS, change)
    with pytest.raises(ContractError) as caught:
        contracts.check_snapshot(gate.catalogue, table, after, before)
    assert (caught.value.rule, says in str(caught.value)) == (rule, True)


# ---- what is odd but true passes


def test_every_table_of_the_seed_passes_on_its_own_and_after_itself(
    catalogue: Catalogue, seed: SnapshotStore
) -> None:
    for table in catalogue.used_tables():
        snapshot = seed.accepted(table)
        assert contracts.check_snapshot(catalogue, table, snapshot, None) == []
        assert contracts.check_snapshot(catalogue, table, snapshot, snapshot) == []


def test_the_dip_in_burglaries_of_2020_is_no_fault(gate: Gate, seed: SnapshotStore) -> None:
    frame = seed.accepted(gate.table(CRIME)).entities()[DATA_ENTITY]
    key = next(name for name in frame.columns if name.startswith("Geregistreerde"))
    burglary = frame.filter(pl.col("SoortMisdrijf").str.strip_chars() == "1.1.1")
    total = dict(burglary.group_by("Perioden").agg(pl.col(key).sum()).iter_rows())
    assert total["2020JJ00"] < 0.8 * total["2019JJ00"]
    before, after = (
        gate.keep(gate.deliver(CRIME, lambda s, last=last: periods_between(s, CRIME, 2016, last)))
        for last in (2019, 2020)
    )
    assert contracts.check_snapshot(gate.catalogue, gate.table(CRIME), after, before) == []


def test_solar_power_that_grows_sixteenfold_in_a_year_is_no_fault(
    gate: Gate, seed: SnapshotStore
) -> None:
    frame = seed.accepted(gate.table("rmbw_2023")).entities()[DATA_ENTITY]
    is_met = (pl.col("indicator_code") == "R_L_NK_04") & (pl.col("statcode") == "GM0088")
    solar = frame.filter(is_met).drop_nulls("value").sort("year")
    growth = solar.get_column("value") / solar.get_column("value").shift(1)
    assert solar.get_column("year")[int(growth.arg_max())] == 2017
    assert growth.max() == 16
    table = gate.table("rmbw_2023")
    before, after = (
        edition(gate, seed, table.id, lambda f, last=last: f.filter(pl.col("year") <= last))[2]
        for last in (2016, 2017)
    )
    assert contracts.check_snapshot(gate.catalogue, table, after, before) == []


def test_municipalities_without_a_survey_are_no_fault(gate: Gate, seed: SnapshotStore) -> None:
    table = gate.table("rmbw_2023")
    frame = seed.accepted(table).entities()[DATA_ENTITY]
    surveyed = frame.filter(
        pl.col("indicator_code") == "01_KL_H_01", pl.col("value").is_not_null()
    ).get_column("statcode")
    assert TWENTE - set(surveyed) == {"GM0168", "GM0183"}
    assert contracts.check_snapshot(gate.catalogue, table, seed.accepted(table), None) == []


def test_hengelo_under_either_of_its_names_is_the_same_delivery(gate: Gate) -> None:
    def renamed(store: Store) -> Store:
        changed = m.set_info(store, HEALTH, Modified="2026-11-08T02:00:00")
        for row in changed[HEALTH][GEO]:
            if row["Key"].strip() == "GM0164":
                row["Title"] = "Hengelo (O.)" if row["Title"] == "Hengelo" else "Hengelo"
        return changed

    first, second = gate.keep(gate.deliver(HEALTH)), gate.keep(gate.deliver(HEALTH, renamed))
    assert first.id == second.id


def test_crime_that_is_not_assigned_to_a_municipality_is_no_fault(gate: Gate) -> None:
    assert "GM0000" in {row[GEO].strip() for row in gate.served[CRIME][DATA_ENTITY]}
    assert gate.check(CRIME, lambda s: m.set_status(s, CRIME, "2023JJ00", "Voorlopig")) == []


def test_a_count_of_few_may_change_tenfold(gate: Gate) -> None:
    served = gate.served[CRIME]
    key = m.topic_key(served, CRIMES)
    small = next(r for r in served[DATA_ENTITY] if r[key] == 1)
    region, period = small[GEO].strip(), small["Perioden"]

    def mutation(store: Store) -> Store:
        changed = m.set_value(store, CRIME, CRIMES, region, period, small[key])
        for old, new in zip(served[DATA_ENTITY], changed[CRIME][DATA_ENTITY], strict=True):
            new[key] = 11 if old is small else old[key]
        return changed

    assert gate.check(CRIME, mutation) == []


ODDITIES: dict[str, tuple[str, Mutation]] = {
    "suffixes that moved": (HEALTH, lambda s: m.shift_suffixes(s, HEALTH)),
    "codes padded otherwise": (HEALTH, lambda s: m.change_padding(s, HEALTH, GEO, 14)),
    "a small revision of 2020": (
        HEALTH,
        lambda s: m.set_value(s, HEALTH, HEALTHY, "GM0153", "2020JJ00", 76.3),
    ),
    "a new period": (HEALTH, lambda s: m.add_period(s, HEALTH, "2026JJ00", "2024JJ00", None)),
    "a period that lost its status": (CRIME, lambda s: m.set_status(s, CRIME, "2024JJ00", None)),
}


@pytest.mark.parametrize("name", ODDITIES)
def test_the_gate_lets_pass(gate: Gate, name: str) -> None:
    table_id, mutation = ODDITIES[name]
    assert gate.check(table_id, mutation) == []


def test_a_change_in_columns_that_are_not_used_is_a_note(gate: Gate) -> None:
    def add_topic(store: Store) -> Store:
        changed = m.set_info(store, HEALTH, Modified="2026-11-08T02:00:00")
        rows = changed[HEALTH]["DataProperties"]
        topic = dict(next(row for row in rows if row["Type"] == "Topic"))
        rows.append({**topic, "ID": 999, "Key": "Nieuw_99", "Title": "Nieuw onderwerp"})
        return m.set_value(changed, HEALTH, HEALTHY, "GM0153", "2020JJ00", 76.3)

    notes = gate.check(HEALTH, add_topic)
    assert len(notes) == 1
    assert "1 topics were added, dropped or renamed" in notes[0]


def test_a_series_added_to_the_catalogue_is_not_compared_with_a_delivery_without_it(
    gate: Gate,
) -> None:
    table = gate.table(HEALTH)
    before = gate.keep(gate.deliver(HEALTH))
    measure = table.measures[0]
    further = measure.model_copy(update={"id": "nieuw", "path": ["Nieuw onderwerp"]})
    wider = table.model_copy(update={"measures": [measure, further]})

    def add_topic(store: Store) -> Store:
        changed = m.list_topic_twice(store, HEALTH, HEALTHY)
        changed[HEALTH]["DataProperties"][-1]["Title"] = "Nieuw onderwerp"
        return changed

    with (
        ODataServer(add_topic({HEALTH: gate.served[HEALTH]}), page_size=100_000) as server,
        CbsSource(server.url, quick_settings(timeout_s=10.0)) as source,
    ):
        delivery = source.fetch(wider)
    after = gate.snapshots.store(
        wider,
        gate.catalogue.source("rivm"),
        delivery,
        retrieved_at="2026-11-09T06:00:00+00:00",
        origin="fetched",
        origin_note="",
    )
    notes = contracts.check_snapshot(gate.catalogue, wider, after, before)
    assert notes[0] == "not in the last accepted delivery, so not compared: nieuw"


def test_the_gate_never_answers_with_a_failure_of_the_source(gate: Gate) -> None:
    """A refusal is a verdict on the figures, with exit code 4, never a crash."""
    assert issubclass(ContractError, SourceError)
    assert ContractError("rivm/50150NED", "unit", "x").exit_code == 4
