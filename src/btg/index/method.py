"""The method record of a composite: which rule at each step, and the settings of that rule.

Each step is a rule name, or a mapping with the key ``rule`` and the settings of that rule, as it
would be written in a catalogue file. A rule or setting that is unknown, or that the chosen rule
does not use, is an error: nothing is silently ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from btg.index.aggregate import AGGREGATIONS
from btg.index.errors import IndexMethodError
from btg.index.hierarchy import WEIGHT_RULES

Setting = str | int | float | bool | None
Record = str | Mapping[str, Setting]
REFERENCES = ("all", "year", "base_year")


@dataclass(frozen=True)
class Rule:
    """Settings of one rule with their defaults, and the indicator columns that it reads.

    ``needed`` columns must be in the table of indicators, ``optional`` ones may be. ``requires``
    are settings without a default.
    """

    settings: Mapping[str, Setting] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


_SCOPE: dict[str, Setting] = {"reference": "all", "base_year": None}
TREATMENTS: Mapping[str, Rule] = {
    "none": Rule(),
    "jrc": Rule(
        {
            "max_points": 5,
            "max_skewness": 2.0,
            "max_kurtosis": 3.5,
            "estimator": "sample",
            "reference": "all",
        }
    ),
    "winsorise": Rule({"lower": 0.025, "upper": 0.975, "reference": "all"}),
}
NORMALISATIONS: Mapping[str, Rule] = {
    "none": Rule(),
    "base_year_score": Rule(
        {
            "centre_region": None,
            "clip_lower": 0.025,
            "clip_upper": 0.975,
            "centre": 100.0,
            "spread": 10.0,
        },
        requires=("base_year",),
    ),
    "ruler_score": Rule({"centre": 100.0, "spread": 10.0}),
    "sample_z": Rule({"centre": 0.0, "spread": 1.0, "ddof": 1, **_SCOPE}),
    "min_max": Rule({"low": 0.0, "high": 100.0, **_SCOPE}),
    "truncate": Rule(optional=("lower", "upper")),
    "goalposts": Rule({"low": 0.0, "high": 1.0, "cap": "none"}, needed=("lower", "upper")),
    "ampi_goalposts": Rule(
        {"low": 70.0, "high": 130.0}, needed=("lower", "upper"), optional=("centre",)
    ),
    "percentile_on_reference": Rule({"scale": 100.0, **_SCOPE}),
    "percentile_rank": Rule(),
    "rank": Rule({"best_is_first": False, "ties": "lowest"}),
    "distance_to_reference": Rule({"cap": "none"}, needed=("target", "origin")),
    "ratio_to_reference": Rule({"scale": 1.0, "cap": "none"}, needed=("target",)),
}
AGGREGATION_RULES: Mapping[str, Rule] = {
    **{name: Rule() for name in AGGREGATIONS},
    "ampi": Rule({"penalty": "down"}),
    "borda": Rule({"ties": "average"}),
}
MISSING_RULES: Mapping[str, Rule] = {
    "complete": Rule(),
    "renormalise": Rule({"by_count": False}, requires=("min_coverage_share",)),
}
WEIGHTS: Mapping[str, Rule] = {name: Rule() for name in WEIGHT_RULES}
STEPS: Mapping[str, Mapping[str, Rule]] = {
    "treatment": TREATMENTS,
    "normalisation": NORMALISATIONS,
    "weights": WEIGHTS,
    "missing": MISSING_RULES,
    "aggregation": AGGREGATION_RULES,
}


@dataclass(frozen=True)
class Step:
    """One checked step: the rule and every one of its settings, defaults filled in."""

    rule: str
    settings: Mapping[str, Any]
    needed: tuple[str, ...]
    optional: tuple[str, ...]


@dataclass(frozen=True)
class Method:
    """How a composite is computed, step by step; checked on construction.

    ``treatment`` of outliers (default none), ``normalisation``, ``weights`` ("given": sum to 1 per
    parent, "relative", "equal"), ``missing`` ("complete": an item needs all its children;
    "renormalise" with min_coverage_share) and ``aggregation``. Rules and settings: :data:`STEPS`.
    """

    normalisation: Record
    aggregation: Record = "arithmetic"
    weights: Record = "given"
    missing: Record = "complete"
    treatment: Record = "none"

    def __post_init__(self) -> None:
        for name in STEPS:
            self.step(name)

    @classmethod
    def from_record(cls, record: Mapping[str, Record]) -> "Method":
        """A method from a plain mapping (a catalogue file); an unknown key is an error."""
        for key in record:
            if key not in STEPS:
                raise IndexMethodError(f"unknown step; known: {', '.join(STEPS)}", setting=key)
        if "normalisation" not in record:
            raise IndexMethodError("the method does not say how to", setting="normalisation")
        return cls(**dict(record))

    def step(self, name: str) -> Step:
        """The checked rule of one step (a key of :data:`STEPS`)."""
        return _step(name, getattr(self, name))


def _step(name: str, record: Record) -> Step:
    stated = {"rule": record} if isinstance(record, str) else dict(record)
    rule_name = stated.pop("rule", None)
    rules = STEPS[name]
    if not isinstance(rule_name, str) or rule_name not in rules:
        known = ", ".join(rules)
        raise IndexMethodError(f"unknown rule {rule_name!r}; known: {known}", setting=name)
    rule = rules[rule_name]
    for key in stated:
        if key not in rule.settings and key not in rule.requires:
            known = ", ".join([*rule.settings, *rule.requires]) or "none"
            raise IndexMethodError(
                f"not a setting of {rule_name!r}; its settings: {known}", setting=f"{name}.{key}"
            )
    for key in rule.requires:
        if stated.get(key) is None:
            raise IndexMethodError(f"needed by {rule_name!r}", setting=f"{name}.{key}")
    for key, value in stated.items():
        _check_kind(f"{name}.{key}", value, rule.settings.get(key, 0.0))
    settings = {**rule.settings, **stated}
    _check_scope(name, settings)
    return Step(rule_name, settings, rule.needed, rule.optional)


def _check_kind(setting: str, value: Setting, default: Setting) -> None:
    """A number stays a number, a switch a switch, a name a name; None only where it is default."""
    if default is None:
        return
    numeric = isinstance(default, int | float) and not isinstance(default, bool)
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    if not (fits if numeric else isinstance(value, type(default))):
        raise IndexMethodError(f"{value!r} is not of the kind of {default!r}", setting=setting)


def _check_scope(name: str, settings: Mapping[str, Setting]) -> None:
    """A reference "base_year" needs the year, and a year without that reference is unused."""
    if "reference" not in settings:
        return
    reference, year = settings["reference"], settings.get("base_year")
    allowed = REFERENCES if "base_year" in settings else REFERENCES[:2]
    if reference not in allowed:
        raise IndexMethodError(f"one of {allowed}, not {reference!r}", setting=f"{name}.reference")
    if (reference == "base_year") != (year is not None):
        raise IndexMethodError(
            "base_year goes with reference 'base_year', and only with it",
            setting=f"{name}.base_year",
        )
