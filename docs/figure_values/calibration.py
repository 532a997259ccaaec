"""What thresholds cost: benchmarks/results/{policies,guarantee,threshold_margin}.json."""

from __future__ import annotations

from figure_values.common import Figure, percent, result, table, value

POLICIES = ("margin", "max_probability", "entropy", "scaled_margin", "ensemble", "patience", "class_means")
SEEDS = ("words-standard-seed0", "words-standard-seed1")
LIMITS = 5


def points(limit: float) -> str:
    """0.01 as "1 point": what accuracy may be lost, in percentage points."""
    return f"{100 * limit:g} point" + ("" if limit == 0.01 else "s")


def policies() -> str:
    """Mean ops of each policy for each accuracy that may be lost, mean over the networks."""
    values = result("policies")
    networks = values["networks"]
    limits = [point["limit"] for point in networks[0]["policies"][POLICIES[0]][:LIMITS]]
    rows = []
    for name in POLICIES:
        costs = [[point["relative_ops"] for point in network["policies"][name][:LIMITS]] for network in networks]
        shown = [percent(sum(each) / len(each), 1) for each in zip(*costs, strict=True)]
        rows.append((f"`{name}`" + (" (default)" if name == values["default"] else ""), *shown))
    return table(("policy", *map(points, limits)), rows)


def guarantee() -> str:
    """Mean ops with a guarantee."""
    chosen = {"path": "rising", "p_value": "binomial_or_exact", "drawn": "with replacement"}
    found = [row for row in result("guarantee")["rows"] if chosen.items() <= row.items()]
    limits = sorted({row["limit"] for row in found})
    rows = []
    for run in SEEDS:
        costs = {row["limit"]: row["mean_cost"] for row in found if row["run"] == run}
        rows.append((run, *(percent(costs[limit], 1) for limit in limits)))
    return table(("network", *map(points, limits)), rows)


def margins() -> str:
    """How often thresholds hold on other speakers, and what they cost, for each margin."""
    values = result("threshold_margin")
    names = list(values["margins"][0]["mean_relative_ops"])
    rows = []
    for row in values["margins"]:
        default = " (default)" if row["margin"] == values["margin_of_the_package"] else ""
        shares = [percent(share, 1) for share in (row["share"], *row["mean_relative_ops"].values())]
        rows.append((f"{row['margin']:g}{default}", *shares))
    head = ("margin, standard errors", "limits met %", *(f"ops of `{name}`, %" for name in names))
    return table(head, rows)


FIGURES: dict[str, Figure] = {
    "policies": value(policies),
    "guarantee": value(guarantee),
    "guarantee_broken": value(lambda: percent(result("guarantee")["bars"][0]["value"], 1) + " %"),
    "guarantee_draws": value(lambda: f"{result('guarantee')['draws']:,}"),
    "margins": value(margins),
    "margin": value(lambda: f"{result('threshold_margin')['margin_of_the_package']:g}"),
    "margin_networks": value(lambda: str(len(result("threshold_margin")["networks"]))),
}
