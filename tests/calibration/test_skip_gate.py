import dataclasses
import itertools
import pickle

import numpy as np
import pytest
from made_up_logits import made_up

from bnn_exit import metrics, policies
from bnn_exit.calibration import threshold_search
from bnn_exit.calibration.agreement import LOST, agreement, answered
from bnn_exit.calibration.constraints import Constraints, InfeasibleError
from bnn_exit.calibration.curves import anytime, budgeted
from bnn_exit.calibration.device_profile import DeviceProfile
from bnn_exit.calibration.drift import drift
from bnn_exit.calibration.exit_costs import ExitCosts
from bnn_exit.calibration.modes import modes, modes_of_clips
from bnn_exit.calibration.operating_points import drop_objective, operating_points, problem, search_thresholds
from bnn_exit.calibration.select import CHOOSE, select
from bnn_exit.calibration.threshold_regression import fit_regression, regressed_thresholds
from bnn_exit.cost import Cost, LeavingCosts
from bnn_exit.errors import ArgumentError
from bnn_exit.policies import Sizes, rule

# Heads that are dear beside their stages: 900 of 1000 at exit 1.
COSTS = ExitCosts((Cost(0, 1000), Cost(0, 2000), Cost(0, 3000)), (Cost(0, 900), Cost(0, 900), Cost(0, 50)))


def with_features(*, count=200, seed=0, classes=4, split="validation"):
    """Clips of which a third have early exits that know nothing, which the first feature tells."""
    found = made_up(count=count, exits=3, seed=seed, classes=classes, split=split)
    generator = np.random.default_rng(seed + 100)
    hopeless = generator.random(count) < 1 / 3
    logits = found.logits.copy()
    logits[:, :2] *= 2.5
    logits[hopeless, :2] = generator.normal(0, 0.2, (hopeless.sum(), 2, classes))
    features = np.column_stack(
        [np.where(hopeless, 1.0, -1.0) + generator.normal(0, 0.3, count), generator.random(count)]
    )
    return dataclasses.replace(found, logits=logits, features=(features.astype(np.float32),) * 3)


def fitted(exit_logits):
    policy = policies.fit("skip_gate", exit_logits)
    return policy, COSTS.with_policy(policy, Sizes.of(exit_logits))


def figures(exit_logits, thresholds):
    """Mean ops and accuracy, clip by clip."""
    policy, spent = fitted(exit_logits)
    ops, right = [], []
    for clip, scores in enumerate(policy.scores(exit_logits).astype(np.float32)):
        early = [k for k in (0, 1) if scores[k] < np.float32(thresholds[k])]
        skips = scores[2] < np.float32(thresholds[2])
        left = 2 if skips or not early else early[0]
        ops.append((spent.skipped if skips else spent[left]).ops)
        right.append(exit_logits.logits[clip, left].argmax() == exit_logits.labels[clip])
    return np.mean(ops), np.mean(right)


def test_the_search_is_as_good_as_brute_force_on_its_gates():
    exit_logits = with_features(count=14)
    policy, spent = fitted(exit_logits)
    of_these = problem(exit_logits, spent, policy=policy)
    objective = drop_objective(exit_logits, 0.1, standard_errors=0.0)
    thresholds = threshold_search.search(of_these, objective)
    ops, right = figures(exit_logits, thresholds)
    full = exit_logits.correct[:, -1].mean()
    scores = policy.scores(exit_logits).astype(np.float32)
    values = [[0.0, *np.unique(column).tolist(), 2.0] for column in scores.T]
    tried = [figures(exit_logits, each) for each in itertools.product(*values)]
    best = min(cost for cost, accuracy in tried if full - accuracy <= 0.1 + 1e-9)
    assert ops == pytest.approx(best) and full - right <= 0.1 + 1e-9
    totals = of_these.totals(thresholds)
    assert (totals["ops"] / 14, totals["lost"] / 14) == pytest.approx((ops, full - right))


def test_a_gate_pays_where_heads_are_dear_and_clips_hopeless():
    exit_logits = with_features()
    policy, spent = fitted(exit_logits)
    points = operating_points(exit_logits, spent, policy=policy, standard_errors=0.0)
    point = points["fast"]
    assert len(point.thresholds) == 3 and point.thresholds[2] > 0
    ops, right = figures(exit_logits, point.thresholds)
    assert (point.mean_cost["ops"], point.accuracy) == pytest.approx((ops, right))
    assert 0.1 < point.skipped_share <= point.exit_shares[2]
    assert points["full"].thresholds == (0.0, 0.0, 0.0) and points["full"].skipped_share == 0.0
    plain = policies.fit("margin")
    without = operating_points(
        exit_logits, COSTS.with_policy(plain, Sizes.of(exit_logits)), policy=plain, standard_errors=0.0
    )["fast"]
    assert without.skipped_share is None and point.mean_cost["ops"] < without.mean_cost["ops"] - 100


def test_times_count_the_heads_that_are_skipped_if_they_were_timed():
    exit_logits = with_features()
    policy, spent = fitted(exit_logits)
    times = (100.0, 200.0, 300.0)
    known = problem(exit_logits, spent, policy=policy, times_us=times, skipped_us=150.0)
    unknown = problem(exit_logits, spent, policy=policy, times_us=times)
    everyone = tuple(rule.skipping_thresholds(exits=3))
    assert known.totals(everyone)["time_us"] == pytest.approx(200 * 150)
    assert unknown.totals(everyone)["time_us"] == pytest.approx(200 * 300)
    device = DeviceProfile("board", times, times, "native", skipped_us=150.0)
    fast = select(exit_logits, COSTS, Constraints({"max_mean_us": 160.0}, device=device), policy_name="skip_gate")
    outcomes = rule.outcomes(policy.scores(exit_logits), fast.point.thresholds)
    assert np.array([*times, 150.0])[outcomes].mean() <= 160
    # A limit of the worst time closes the last exit, and with it the gate.
    limits = {"max_worst_us": 250.0, "max_mean_cost": 0.9}
    shallow = select(exit_logits, COSTS, Constraints(limits, device=device), policy_name="skip_gate")
    assert shallow.point.thresholds[1:] == (rule.ALWAYS, 0.0)


def test_sets_of_exits_have_three_or_more():
    exit_logits = with_features()
    chosen = select(exit_logits, COSTS, Constraints({"max_accuracy_drop": 0.2}), policy_name="skip_gate", exits=CHOOSE)
    assert [each.exits for each in chosen.subsets] == [(0, 1, 2)]
    with pytest.raises(ArgumentError, match="policy is skip_gate, but the network has 2 exits"):
        select(exit_logits, COSTS, Constraints({"max_accuracy_drop": 0.2}), policy_name="skip_gate", exits=(0, 2))


def test_a_guarantee_leaves_the_gate_off():
    exit_logits = with_features(count=3000)
    limits = Constraints({"max_accuracy_drop": 0.2})
    chosen = select(exit_logits, COSTS, limits, policy_name="skip_gate", confidence=0.9)
    assert chosen.guarantee.useful and len(chosen.point.thresholds) == 3 and chosen.point.thresholds[2] == 0


def test_curves_modes_and_drift_know_the_gate():
    exit_logits = with_features()
    policy, spent = fitted(exit_logits)
    assert [point.exit_shares.index(1.0) for point in anytime(exit_logits, spent, policy=policy)] == [0, 1, 2]
    assert all(len(point.thresholds) == 3 for point in budgeted(exit_logits, exit_logits, spent, policy=policy))
    right = exit_logits.correct
    for found in (
        modes(exit_logits, exit_logits, spent, policy=policy),
        modes_of_clips(policy.scores(exit_logits), right, spent),
    ):
        assert any(0 < mode.thresholds[2] < rule.ALWAYS for mode in found.points)
        for mode in found.points[:: len(found.points) // 3]:
            assert (mode.ops, mode.accuracy) == pytest.approx(figures(exit_logits, mode.thresholds))
    same = drift(exit_logits, exit_logits, (0.5, 0.5, 0.4), policy=policy)
    assert not same.found and set(same.p_values) == {"score_1", "score_2", "score_3", "exit_shares"}


def test_costs_with_a_gate_travel():
    costs = LeavingCosts([Cost(1, 2), Cost(3, 4)], skipped=Cost(2, 2))
    again = pickle.loads(pickle.dumps(costs))
    assert again == costs and again.skipped == Cost(2, 2) and again.outcomes == (*costs, Cost(2, 2))
    assert LeavingCosts.of(costs) is costs and LeavingCosts.of([Cost(1, 2)]).outcomes == (Cost(1, 2),)


# --------------------------------------------------------------------------------------------------------- regression


def of_grid(exit_logits):
    policy, spent = fitted(exit_logits)
    return problem(exit_logits, spent, policy=policy)


def test_pairs_are_pareto_optimal_and_the_polynomials_are_those_of_least_squares():
    of_these = of_grid(with_features())
    found = fit_regression(of_these, "max_mean_cost", full_ops=3000.0)
    costs, gates, exits = np.array(found.pairs).T
    lost = [of_these.totals((exits[i], exits[i], gates[i]))["lost"] for i in range(len(costs))]
    assert len(costs) > 10 and np.all(np.diff(costs) > 0) and np.all(np.diff(lost) < 0)
    place = (costs - costs[0]) / (costs[-1] - costs[0])
    for values, coefficients in ((gates, found.gate), (exits, found.exits)):
        assert coefficients == pytest.approx(np.polyfit(place, values, 2)[::-1], abs=1e-6)
    middle = (found.low + found.high) / 2
    c = found.exits
    assert found.at(middle)[1] == pytest.approx(max(0.0, c[0] + c[1] / 2 + c[2] / 4), abs=1e-6)
    assert found.at(found.low - 1) == found.at(found.low) and min(found.at(found.high)) >= 0


@pytest.mark.parametrize("share", [0.45, 0.5, 0.6, 0.7, 0.8])
def test_the_budget_holds_whether_the_regressed_pair_meets_it_or_not(share):
    exit_logits = with_features()
    of_these = of_grid(exit_logits)
    found = regressed_thresholds(of_these, Constraints({"max_mean_cost": share}), full_ops=3000.0)
    ops, _ = figures(exit_logits, found.thresholds)
    assert ops <= share * 3000 * (1 + 1e-9)
    gate, threshold = found.asked
    asked_ops, _ = figures(exit_logits, (threshold, threshold, gate))
    assert found.used == pytest.approx(asked_ops / 3000) and found.kept == (asked_ops <= share * 3000)
    if found.kept:
        assert found.thresholds == (threshold, threshold, gate)
        assert found.sentence().endswith("within the budget")
    else:
        within = [row for row in found.regression.pairs if row[0] <= share]
        assert found.thresholds == (within[-1][2], within[-1][2], within[-1][1])
        assert found.sentence().endswith("more than the budget: the best pair of the search was taken")


def test_a_selection_by_regression():
    exit_logits = with_features()
    limits = Constraints({"max_mean_cost": 0.6})
    chosen = select(exit_logits, COSTS, limits, policy_name="skip_gate", regression=True)
    searched = select(exit_logits, COSTS, limits, policy_name="skip_gate")
    assert chosen.regressed is not None and chosen.point.thresholds == chosen.regressed.thresholds
    for each in (chosen, searched):
        assert each.point.mean_cost["ops"] <= 0.6 * 3000 * (1 + 1e-9)
    assert searched.accuracy_drop <= chosen.accuracy_drop + 1e-9


def test_mistakes_of_a_regression():
    exit_logits = with_features()
    cost = Constraints({"max_mean_cost": 0.6})
    with pytest.raises(
        ArgumentError, match="regression is asked for, but the policy has no skip gate: choose --policy"
    ):
        select(exit_logits, COSTS, cost, regression=True)
    both = Constraints({"max_mean_cost": 0.6, "max_accuracy_drop": 0.1})
    with pytest.raises(ArgumentError, match="with the limits max_mean_cost, max_accuracy_drop, but goes with one of"):
        select(exit_logits, COSTS, both, policy_name="skip_gate", regression=True)
    with pytest.raises(ArgumentError, match="exits is 'choose', but with regression they must be numbers of exits"):
        select(exit_logits, COSTS, cost, policy_name="skip_gate", regression=True, exits=CHOOSE)
    with pytest.raises(ArgumentError, match=r"confidence is 0\.9 with regression, but a guarantee limits accuracy"):
        select(exit_logits, COSTS, cost, policy_name="skip_gate", regression=True, confidence=0.9)
    with pytest.raises(InfeasibleError, match=r"max_mean_cost is 0\.01, but the least that is feasible on these clips"):
        select(exit_logits, COSTS, Constraints({"max_mean_cost": 0.01}), policy_name="skip_gate", regression=True)


def test_mean_costs_count_outcomes():
    spent = LeavingCosts([Cost(0, 10), Cost(0, 20), Cost(0, 30)], skipped=Cost(0, 24))
    assert metrics.mean_cost([0, 2, 3, 3], spent)["ops"] == pytest.approx((10 + 30 + 24 + 24) / 4)


def test_the_ops_of_an_agreement_are_those_of_its_clips_with_the_skipped_ones():
    labelled = answered(with_features())
    policy, spent = fitted(labelled)
    found = agreement(labelled, spent, policy=policy)
    skipping = 0
    for lost, ops in zip(LOST, found.ops, strict=True):
        thresholds = search_thresholds(labelled, spent, max_accuracy_drop=lost, standard_errors=0, policy=policy)
        expected, right = figures(labelled, thresholds)
        assert ops == pytest.approx(expected)
        assert right >= 1 - lost - 1e-9
        skipping += int((rule.outcomes(policy.scores(labelled), thresholds) == 3).any())
    assert skipping  # else the two ways of counting would agree
