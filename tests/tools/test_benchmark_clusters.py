"""The benchmark of clusters: its figures, its jobs, and what it refuses."""

from pathlib import Path

import pytest

from tfmeta.errors import ArgumentError
from tfmeta.tools.benchmarks.asking import Worker
from tfmeta.tools.benchmarks.clusters import clusterings
from tfmeta.tools.benchmarks.clusters.figure import draw
from tfmeta.tools.benchmarks.clusters.forms import FORMS, FORMS_OF_CURVE, QUALITY, SOFTMAX
from tfmeta.tools.benchmarks.clusters.forms import cell as cell_of
from tfmeta.tools.benchmarks.clusters.kept import Results
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


def training(updates, accuracy, log10=0.0):
    return {
        "updates": updates,
        "log10": dict.fromkeys(QUALITY, log10),
        "accuracy": dict.fromkeys(SOFTMAX, accuracy),
    }


# Seconds of an update: the medians are 4, 1, and 2.
PACES = {"baseline": [4.0, 3.0, 5.0], "compiled": [1.0, 1.0, 2.0], "all": [2.0, 2.0, 2.0]}


def fronts(**accuracies):
    """What is known of trainings of 1 and 16 updates: by learning, for each seed two accuracies."""
    known = {"rivals": dict.fromkeys(QUALITY, -1.0), "paces_quality": PACES}
    for learning, by_seed in accuracies.items():
        for seed, found in enumerate(by_seed):
            for budget, updates, accuracy in zip((4, 64), (1, 16), found, strict=True):
                known[f"quality_{learning}_{budget}_{seed}"] = training(updates, accuracy)
    return known


def test_times_are_compared_at_equal_quality():
    """On the way from 2 to 32 seconds, 8 is half of it."""
    known = fronts(sequential=[(60.0, 70.0), (60.0, 70.0)], together=[(65.0, 75.0), (60.0, 80.0)])
    found = summarized(known)["acceleration"]["accuracy"]
    # All together: 70 is half-way from 65 to 75 and from 60 to 80.
    assert found["all"]["64"]["by_seed"] == pytest.approx([64 / 8, 64 / 8])
    assert found["all"]["64"]["mean"] == pytest.approx(8.0)
    assert found["all"]["64"]["ci95"] == pytest.approx(1.0)
    assert found["all"]["64"]["at_least"] == 0
    assert found["all"]["4"] == {"by_seed": [2.0, 2.0], "at_least": 2, "mean": 2.0, "ci95": 1.0}
    # Compiled, the baseline's updates take a fourth of the time.
    assert found["compiled"]["64"]["by_seed"] == pytest.approx([4.0, 4.0])


def test_fronts_of_unequal_numbers_of_trainings_are_drawn(tmp_path):
    known = fronts(sequential=[(60.0, 70.0)] * 3, together=[(65.0, 75.0)] * 3)
    del known["quality_sequential_64_2"], known["quality_together_64_2"]
    draw(tmp_path / "fronts.png", known)
    assert (tmp_path / "fronts.png").stat().st_size > 10_000


def test_a_quality_that_is_not_reached_has_no_ratio():
    known = fronts(sequential=[(60.0, 70.0), (60.0, 70.0)], together=[(50.0, 60.0), (50.0, 70.0)])
    found = summarized(known)["acceleration"]["accuracy"]["all"]
    assert found["64"]["by_seed"] == [None, pytest.approx(64 / 32)]
    assert found["64"]["mean"] is None
    assert found["4"]["by_seed"] == pytest.approx([4 / 32, 4 / 8])


def test_a_score_is_that_of_the_best_optimizer_less_the_rules():
    summary = summarized(fronts(sequential=[(1.0, 2.0)], together=[(1.0, 2.0)]))
    assert summary["quality"]["4"]["all"]["softmax_score"] == [-1.0]
    assert summary["quality"]["64"]["all"]["types_score"] == [-1.0]
    assert summary["quality"]["64"]["all"]["accuracy"] == [2.0]


def test_an_accuracy_is_reached_where_it_is_held_to_the_end():
    def curve(*accuracies):
        return {"curve": list(enumerate(accuracies))}

    known = {
        "paces_published": PACES,
        "published_sequential_0": curve(50, 66, 60, 66, 65, 70),
        "published_together_0": curve(50, 66, 66, 66, 66, 66),
    }
    summary = summarized(known)["published"]
    assert summary["seconds"] == {"baseline": [3 * 4.0], "compiled": [3 * 1.0], "all": [2.0]}
    assert summary["speedup"] == 6.0
    known["published_together_0"] = curve(50, 66, 66, 66, 66, 64)
    assert summarized(known)["published"]["seconds"]["all"] == [None]


def of_clusterings(log10):
    """What a training left: the logarithm of each family's final loss, by type."""
    of_family = {name: log10[kind] for kind, names in clusterings.TYPES.items() for name in names}
    softmax = clusterings.TYPES["softmax_regression"]
    return {"updates": 1, "log10": of_family, "accuracy": dict.fromkeys(softmax, 80.0)}


def test_every_type_counts_once_in_the_score_of_a_clustering():
    """Though networks are three families, and quadratics one."""
    ended = dict.fromkeys(clusterings.TYPES, 0.0)
    same = of_clusterings(ended)
    known = {"clusterings_rivals": dict.fromkeys(clusterings.FAMILIES, 0.0)}
    known |= {"clusterings_problems_problems_0": same, "clusterings_problems_problems_1": same}
    for kind, more in (("fully_connected", 5.0), ("quadratic", 10.0)):
        seed = int(kind == "quadratic")
        known[f"clusterings_problems_types_{seed}"] = of_clusterings({**ended, kind: more})
    found = clusterings.summarized(known)["problems"]["types"]
    assert found["score"] == pytest.approx([1.0, 2.0])
    assert found["accuracy"] == [80.0, 80.0]
    assert found["more"] == pytest.approx(1.5)
    # Of two values 1 apart, Student's interval: 12.706 * (1 / sqrt(2)) / sqrt(2).
    assert found["ci95"] == pytest.approx(12.706 / 2, rel=1e-3)


def test_courses_have_as_many_problems_or_as_much_time():
    of_a_problem = {name: clusterings.COURSES[name].problems for name in clusterings.COURSES}
    problems = {name: clusterings.updates(name) * n for name, n in of_a_problem.items()}
    assert len(set(problems.values())) == 1
    # An update by all 32 problems takes 16 seconds; one by one they take 48.
    paces = {name: [16.0 if n > 1 else 1.5] for name, n in of_a_problem.items()}
    known = {"clusterings_paces": paces}
    in_time = {name: clusterings.updates_in_time(known, name) for name in of_a_problem}
    assert in_time["types"] == clusterings.updates("types")
    assert in_time["copies by type"] == clusterings.updates("copies by type") // 3


def test_a_second_start_with_other_settings_is_refused(tmp_path):
    results = Results(tmp_path / "results.json")
    results.settle("limit", 60.0)
    results.once("cell", lambda: 1)
    again = Results(tmp_path / "results.json")
    again.settle("limit", 60.0)
    with pytest.raises(ArgumentError, match="^limit=30.0: .*60.0.*output_dir"):
        again.settle("limit", 30.0)


@pytest.mark.parametrize(
    "flags, parts",
    [
        (["--measures=speed"], ["--measures=speed", "task_step"]),
        (["--budgets=5,long"], ["--budgets=5,long", "positive numbers"]),
        (["--budgets=0"], ["--budgets=0", "positive"]),
        (["--blocks=0"], ["--blocks=0", "at least 1"]),
        (["--measures=task_step", "--budgets=5"], ["--budgets=", "quality"]),
        (["--measures=quality", "--limit=5"], ["--limit=5.0", "published"]),
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
    families = ["bowl_5", "fully_connected_5_4_4_4_4"]
    with Worker("jobs.clusters", ranks=ranks, core=0 if ranks == 1 else None) as asked:
        asked.call("build")
        request = {"families": families, "clusters": [0, 1], "problems": 2, **form}
        first, again = (asked.call("time", meta_iterations=2, **request) for _ in range(2))
        for answer in (first, again):
            assert answer["seconds"] > 0
            assert len(answer["busy"]) == len(answer["possible"]) == ranks
        of_all = {"problem_steps": 20, "problems_of_family": 2, "seed": 0, **request}
        of_all["evaluated"] = families[1:]
        assert asked.call("pace", recipe="tuned", problem_steps=20, **request)["seconds"] > 0
        first, again = (
            asked.call("train", updates=3, rate=0.01, recipe="tuned", **of_all) for _ in range(2)
        )
        assert first == again
        assert list(first["log10"]) == list(first["accuracy"]) == families[1:]
        learned = asked.call("learn", evaluate_every=0.5, updates=8, **of_all)
        updates, accuracies = zip(*learned["curve"], strict=True)
        assert updates == (0, 1, 2, 3, 5, 8)
        assert all(0 <= accuracy <= 100 for accuracy in accuracies)
        of_each = {"problem_steps": 20, "seed": 0, "number": 2, "recipe": "tuned", **request}
        for by in ("type", "gradient"):
            assert sorted(asked.call("clusters_by", by=by, **of_each)["clusters"]) == [0, 1]


@pytest.mark.slow
def test_a_compiled_training_stands_for_the_baselines():
    """Both forms of sequential learning make the same updates, to rounding."""
    families = ["bowl_5", "softmax_regression_10"]
    with Worker("jobs.clusters", core=0) as asked:
        asked.call("build")
        of_both = {"problem_steps": 40, "seed": 0, "rate": 0.003, "recipe": "tuned"}
        of_both |= {"evaluated": families, "problems_of_family": 2}
        trained = [
            asked.call("train", updates=6, **of_both, **cell_of(form, families, 1))["log10"]
            for form in ("baseline", "compiled")
        ]
    assert trained[0] == pytest.approx(trained[1], abs=1e-3)
