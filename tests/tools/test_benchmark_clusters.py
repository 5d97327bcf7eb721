"""The benchmark of clusters: its figures, its jobs, and what it refuses."""

from pathlib import Path

import pytest

from tfmeta.tools.benchmarks.asking import Worker
from tfmeta.tools.benchmarks.clusters.forms import FORMS, FORMS_OF_CURVE
from tfmeta.tools.benchmarks.clusters.results import summarized

PROGRAM = Path(__file__).parents[2] / "tools" / "benchmark_clusters.py"


def cell(forms, **seconds):
    """What a cell of two blocks keeps: every form takes as long as the baseline unless given."""
    blocks = {form: seconds.get(form, [8.0, 12.0]) for form in forms}
    times = {"busy": [[3.0, 1.0], [2.0, 2.0]], "possible": [[2.0, 2.0], [2.0, 2.0]]}
    return {form: {"seconds": taken, **times} for form, taken in blocks.items()}


def test_ratios_are_medians_over_blocks():
    whole = cell(FORMS, compiled=[4.0, 3.0], all_on_one_rank=[3.0, 4.0], all=[2.0, 2.0])
    known = {"clusters_5": whole, "tasks_10": cell(FORMS_OF_CURVE, all=[1.0, 1.0])}
    summary = summarized(known)
    assert summary["speedup_graph"] == (8 / 2 + 12 / 2) / 2
    assert summary["speedup_compiled"] == (4 / 2 + 3 / 2) / 2
    assert summary["two_ranks"] == (3 / 2 + 4 / 2) / 2
    assert summary["two_ranks_graph"] == 1.0
    assert summary["tasks"][10]["all"]["median"] == (8 + 12) / 2
    assert summary["tasks"][10]["all"]["least"] == 8
    assert "all_on_one_rank" not in summary["tasks"][10]


def test_a_rank_is_idle_while_it_waits_for_the_longest():
    summary = summarized({"clusters_5": cell(FORMS)})
    # In the first block 1 - (3 + 1) / (2 * 3), in the second nothing.
    assert summary["idle_share"] == pytest.approx((1 / 3 + 0) / 2)
    assert summary["idle_share_whole_possible"] == 0


def test_time_to_accuracy_is_compared_seed_by_seed():
    def training(*reached):
        # Evaluations every second; the accuracy is 70 % in those seconds, else 50 %.
        return {"curve": [(float(s), s, 70.0 if s in reached else 50.0) for s in range(9)]}

    known = {"accuracies": {"untrained": 50.0, "adam": 90.0}}
    for form, firsts in (("baseline", (6, 4)), ("compiled", (2, 4)), ("all", (1, 2))):
        known[f"rate_{form}"] = 0.01
        for seed, first in enumerate(firsts):
            known[f"training_{form}_{seed}"] = training(first, first + 1, first + 2)
    summary = summarized(known)
    assert summary["to_65"]["seconds"] == {
        "baseline": [6.0, 4.0],
        "compiled": [2.0, 4.0],
        "all": [1.0, 2.0],
    }
    assert summary["speedup_to_accuracy"] == (6 / 1 + 4 / 2) / 2
    assert summary["to_65"]["speedup_compiled"] == (2 / 1 + 4 / 2) / 2
    # 50 + 0.9 * 40 is in no evaluation.
    assert summary["to_adam"]["target"] == 86.0
    assert summary["to_adam"]["seconds"]["all"] == [None, None]
    assert summary["to_adam"]["speedup"] is None


@pytest.mark.parametrize(
    "flags, parts",
    [
        (["--measures=speed"], ["--measures=speed", "task_step"]),
        (["--blocks=0"], ["--blocks=0", "at least 1"]),
        (["--output_dir=/dev/null/runs"], ["--output_dir=/dev/null/runs", "another folder"]),
    ],
)
def test_bad_input_is_answered_with_one_sentence(forked, flags, parts):
    answer = forked(PROGRAM, *flags)
    assert answer.returncode == 2
    assert len(answer.stderr.splitlines()) == 1
    for part in parts:
        assert part in answer.stderr


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_job_measures_and_trains(horovodrun, ranks):
    how = {"cluster_groups": "split", "within_cluster": "accumulate"}
    form = {"vectorized": True, "xla": False, "batches": 1, **how}
    families = ["bowl_5", "bowl_5_turned_45"]
    with Worker("jobs.clusters", ranks=ranks, one_core=ranks == 1) as asked:
        asked.call("build")
        request = {"families": families, "clusters": [0, 1], "problems": 2, **form}
        first, again = (asked.call("time", meta_iterations=2, **request) for _ in range(2))
        for answer in (first, again):
            assert answer["seconds"] > 0
            assert len(answer["busy"]) == len(answer["possible"]) == ranks
        learned = asked.call(
            "learn",
            problem_steps=20,
            evaluate_every=0.1,
            problems_of_type=2,
            target=100.0,
            limit=0.3,
            rate=0.01,
            seed=0,
            **request,
        )
        seconds, updates, accuracies = zip(*learned["curve"], strict=True)
        assert seconds[0] == 0 and seconds[-1] >= 0.3
        assert list(updates) == sorted(updates) and updates[1] == 1
        assert all(0 <= accuracy <= 100 for accuracy in accuracies)
