import dataclasses
import itertools
import json
import re

import numpy as np
import pytest
from made_up_logits import made_up

from bnn_exit import policies
from bnn_exit.calibration.constraints import Constraints, InfeasibleError
from bnn_exit.calibration.exit_costs import ExitCosts
from bnn_exit.calibration.exit_subsets import best_of_subset, best_subsets
from bnn_exit.calibration.select import CHOOSE, select
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.policies import POLICIES, Sizes, rule

STAGES = [Cost(6400, 10, 5), Cost(12800, 20, 6), Cost(32000, 30, 7), Cost(64000, 40, 8)]
HEADS = [Cost(0, 30, 1), Cost(0, 200, 2), Cost(0, 50, 3), Cost(0, 60, 4)]


def whole():
    total, exits = Cost(0, 0), []
    for stage, head in zip(STAGES, HEADS, strict=True):
        total = total + stage + head
        exits.append(total)
    return ExitCosts(tuple(exits), tuple(HEADS))


def test_dropped_exits_save_their_heads_and_what_lies_behind_the_last():
    kept = whole().select_exits((1, 2))
    assert kept.heads == (HEADS[1], HEADS[2])
    assert kept.exits[0] == STAGES[0] + STAGES[1] + HEADS[1]
    assert kept.exits[1] == STAGES[0] + STAGES[1] + STAGES[2] + HEADS[1] + HEADS[2]
    assert whole().select_exits((0, 1, 2, 3)) == whole()


def test_chained_heads_are_executed_and_paid_for_whatever_reads_them():
    chained = dataclasses.replace(whole(), chained=True)
    kept = chained.select_exits((1, 2))
    assert kept.chained and kept.heads == (HEADS[1], HEADS[2])
    assert kept.exits[0] == STAGES[0] + HEADS[0] + STAGES[1] + HEADS[1]
    assert kept.exits[1] == STAGES[0] + HEADS[0] + STAGES[1] + HEADS[1] + STAGES[2] + HEADS[2]
    # Class means of 7, 8 and 9 features for 10 classes: they read no logits, but the next head does.
    sizes, policy = Sizes(10, (7, 8, 9, 9)), POLICIES["class_means"]
    work = [0, *itertools.accumulate(10 * (size + 3) for size in (7, 8, 9))]
    heads = [sum(head.float_macs for head in HEADS[: k + 1]) for k in range(4)]
    stages = [sum(stage.float_macs for stage in STAGES[: k + 1]) for k in range(4)]
    with_heads = [cost.float_macs for cost in chained.with_policy(policy(), sizes)]
    assert with_heads == [stages[k] + heads[k] + work[min(k + 1, 3)] for k in range(4)]
    without = [cost.float_macs for cost in whole().with_policy(policy(), sizes)]
    assert without == [stages[k] + (HEADS[3].float_macs if k == 3 else 0) + work[min(k + 1, 3)] for k in range(4)]


def test_of_chained_exits_the_first_ones_are_tried():
    exit_logits, chained = made_up(count=40, exits=4), dataclasses.replace(whole(), chained=True)
    constraints = Constraints({"max_accuracy_drop": 1.0})
    assert sorted(choice.exits for choice in best_subsets(exit_logits, chained, constraints)) == [
        (0, 1),
        (0, 1, 2),
        (0, 1, 2, 3),
    ]
    with pytest.raises(ArgumentError, match=r"^exits is 1,2,4, but heads of this network read .* such as 1,2,3$"):
        best_of_subset(exit_logits, chained, constraints, (0, 1, 3))


def test_a_policy_works_at_every_exit_but_the_last():
    policy = policies.fit(policies.DEFAULT)
    costs = whole().with_policy(policy, Sizes(10))
    assert [a.float_macs - b.float_macs for a, b in zip(costs, whole().exits, strict=True)] == [20, 40, 60, 60]


def test_costs_go_to_a_file_and_back(tmp_path):
    whole().save(tmp_path / "costs.json")
    assert ExitCosts.load(tmp_path / "costs.json") == whole()
    chained = dataclasses.replace(whole(), chained=True)
    chained.save(tmp_path / "costs.json")
    assert ExitCosts.load(tmp_path / "costs.json") == chained
    # Files of earlier versions do not say.
    earlier = json.loads((tmp_path / "costs.json").read_text())
    del earlier["chained"]
    (tmp_path / "earlier.json").write_text(json.dumps(earlier))
    assert ExitCosts.load(tmp_path / "earlier.json") == whole()
    (tmp_path / "bad.json").write_text(json.dumps(earlier | {"chained": 1}))
    with pytest.raises(DataError, match=r"does not hold costs of exits: chained is 1, but must be true or false"):
        ExitCosts.load(tmp_path / "bad.json")
    for text in ("", "[]", '{"exits": []}', '{"exits": [], "heads": []}', '{"exits": [{"a": 1}], "heads": []}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(DataError, match=r"'.*bad.json' does not hold costs of exits"):
            ExitCosts.load(tmp_path / "bad.json")
    with pytest.raises(DataError, match=r"no such file: '.*gone.json'"):
        ExitCosts.load(tmp_path / "gone.json")


@pytest.mark.parametrize("policy_name", ["margin", "patience"])
def test_the_best_set_is_that_of_brute_force(policy_name):
    for seed in range(3):
        exit_logits = made_up(count=14, exits=4, seed=seed)
        policy, drop, found = policies.fit(policy_name), 0.08, []
        for count in (2, 3, 4):
            for kept in itertools.combinations(range(4), count):
                part = exit_logits.select_exits(kept)
                costs = whole().select_exits(kept).with_policy(policy, Sizes(4))
                scores = policy.scores(part).astype(np.float32)
                values = [[0.0, *np.unique(scores[:, k]).tolist(), 2.0] for k in range(count - 1)]
                for thresholds in itertools.product(*values):
                    exits = rule.exit_indices(scores, thresholds)
                    lost = exit_logits.correct[:, -1].mean() - part.correct[np.arange(14), exits].mean()
                    if lost <= drop + 1e-9:
                        found.append(np.mean([costs[k].ops for k in exits]))
        best = best_subsets(
            exit_logits, whole(), Constraints({"max_accuracy_drop": drop}, standard_errors=0), policy_name=policy_name
        )[0]
        assert best.mean_ops == pytest.approx(min(found))
        assert best.accuracy_drop <= drop + 1e-9
        part = exit_logits.select_exits(best.exits)
        exits = rule.exit_indices(best.policy.scores(part), best.thresholds)
        assert best.mean_ops == pytest.approx(np.mean([best.costs[k].ops for k in exits]))


def test_an_exit_that_says_what_the_next_one_says_at_almost_its_cost_is_dropped():
    exit_logits = made_up(count=200, exits=4, seed=3).select_exits([0, 2, 2, 3])
    best = best_subsets(exit_logits, whole(), Constraints({"max_accuracy_drop": 0.02}))[0]
    assert not {1, 2} <= set(best.exits)


def test_among_equals_fewer_exits_win():
    exit_logits = made_up(count=50, exits=3, seed=1).select_exits([2, 2, 2])
    # The first exit answers all; what stands behind it changes nothing.
    choices = best_subsets(
        exit_logits, ExitCosts(whole().exits[:3], tuple(HEADS[:3])), Constraints({"max_accuracy_drop": 0.0})
    )
    assert choices[0].exits == (0, 1) and len(choices) == 4
    assert [choice.key for choice in choices] == sorted(choice.key for choice in choices)


def test_the_loss_counts_against_the_full_network_when_the_last_exit_goes():
    exit_logits = made_up(count=100, exits=3, seed=2)
    constraints = dataclasses.replace(Constraints({"max_accuracy_drop": 1.0}), minimise="loss")
    choice = best_of_subset(exit_logits, ExitCosts(whole().exits[:3], tuple(HEADS[:3])), constraints, (0, 1))
    part = exit_logits.select_exits((0, 1))
    right = part.correct[np.arange(100), rule.exit_indices(choice.policy.scores(part), choice.thresholds)]
    assert choice.accuracy_drop == pytest.approx(exit_logits.correct[:, -1].mean() - right.mean())


@pytest.mark.parametrize("exits", [2, 4])
@pytest.mark.parametrize(
    "options", [{}, {"exits": (0, 2)}, {"exits": CHOOSE}, {"confidence": 0.9}, {"confidence": 0.9, "exits": (0, 2)}]
)
def test_costs_of_another_number_of_exits_are_refused(exits, options):
    costs = ExitCosts(whole().exits[:exits], tuple(HEADS[:exits]))
    with pytest.raises(ArgumentError, match=f"costs has {exits} entries, but the exit logits have 3 exits"):
        select(made_up(count=40, exits=3), costs, Constraints({"max_accuracy_drop": 0.1}), **options)


def test_what_no_set_can_keep_is_one_line_with_the_nearest():
    exit_logits = made_up(count=40, exits=3)
    costs = ExitCosts(whole().exits[:3], tuple(HEADS[:3]))
    with pytest.raises(InfeasibleError, match=r"max_mean_cost is 0.01, but the least that is feasible .* is 0.\d+$"):
        best_subsets(exit_logits, costs, Constraints({"max_mean_cost": 0.01}))
    for kept in ((), (0,), (1, 0), (0, 3), (-1, 0), (1, 1)):
        with pytest.raises(ArgumentError, match=r"exits is .*, but must be at least two of 1 to 3, rising"):
            best_of_subset(exit_logits, costs, Constraints({"max_mean_cost": 0.9}), kept)
    with pytest.raises(
        ArgumentError, match=r"exits is 'chose', but must be 'choose' or numbers .* did you mean 'choose'"
    ):
        select(exit_logits, costs, Constraints({"max_mean_cost": 0.9}), exits="chose")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("full", "name is 'full', which means that every clip runs to the end: choose another"),
        ("../full", "name is '../full', but must be of letters, digits, '_', '-' and '.'"),
    ],
)
def test_a_name_that_no_operating_point_can_have(name, message):
    costs = ExitCosts(whole().exits[:3], tuple(HEADS[:3]))
    with pytest.raises(ArgumentError, match=re.escape(message)):
        select(made_up(count=40, exits=3), costs, Constraints({"max_accuracy_drop": 0.1}), name=name)


def test_a_network_of_one_exit_leaves_nothing_to_choose():
    exit_logits, costs, constraints = (
        made_up(count=40, exits=1),
        ExitCosts((Cost(0, 9),), (Cost(0, 1),)),
        Constraints({}),
    )
    one_exit = "^the network has one exit, where every clip leaves: there is nothing to choose$"
    with pytest.raises(ArgumentError, match=one_exit):
        best_subsets(exit_logits, costs, constraints)
    with pytest.raises(ArgumentError, match=one_exit):
        best_of_subset(exit_logits, costs, constraints, (0,))
    with pytest.raises(ArgumentError, match="the network has 9 exits, but sets of exits are tried for 2 to 8"):
        best_subsets(made_up(count=40, exits=9), costs, constraints)
