"""All metrics together: floors, errors, notes, what is asked for and what is refused."""

from __future__ import annotations

import importlib
import json
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from scorefield.core import Rng
from scorefield.errors import UserError
from scorefield.metrics import METRICS, Evaluation, Score, evaluate
from scorefield.metrics.score import plus_minus

DISTANCES = ("frechet", "kernel", "sliced_wasserstein", "energy", "two_sample", "classifier")
SHARES = ("precision", "recall", "density", "coverage")
GIVEN = (*DISTANCES, *SHARES, "copies", "class_accuracy")  # all that apply to vectors with classes


def gaussian(n: int, seed: int, dim: int = 4) -> Tensor:
    return Rng(seed).normal(torch.empty(n, dim))


def labels(x: Tensor) -> Tensor:
    return (x[:, 0] > 0).long()


@pytest.fixture(scope="module")
def fresh() -> Evaluation:
    """Samples of the very law of the data."""
    x, real, train = gaussian(300, 0), gaussian(250, 1), gaussian(400, 2)
    return evaluate(x, real, train=train, labels=labels(x), real_labels=labels(real), train_labels=labels(train))


def test_fresh_real_data_score_as_their_floor(fresh: Evaluation) -> None:
    assert [score.name for score in fresh] == list(GIVEN) and set(GIVEN) <= set(METRICS)
    for score in fresh:
        assert abs(score.excess) < 3, score
        assert score.se > 0 and score.floor_se > 0 and score.se_from and score.features == "pixels"
    # the same number of rows in value and floor, though there are 300 samples, 400 training and 250 held-out rows
    assert (fresh["frechet"].n_fake, fresh["frechet"].n_real) == (300, 250)
    assert (fresh["two_sample"].n_fake, fresh["two_sample"].n_real) == (250, 250)
    assert "300 training examples in the place of the samples" in fresh.notes[0]


def test_the_floor_holds_over_repetitions_for_either_source() -> None:
    """value − floor has mean 0 when samples are real data: 30 repetitions know it to 1/√30 of its spread."""
    for source in ("train", "real"):
        runs = [
            evaluate(gaussian(120, 3 * s), gaussian(240, 3 * s + 1), train=gaussian(150, 3 * s + 2), seed=s,
                     metrics=DISTANCES[:-1], floor_from=source)
            for s in range(30)
        ]  # fmt: skip
        for name in DISTANCES[:-1]:  # the classifier has its own test
            excess = torch.tensor([run[name].value - run[name].floor for run in runs])
            assert abs(float(excess.mean())) < 3.5 * float(excess.std()) / math.sqrt(30), (source, name)


def test_wrong_samples_are_told_from_real_ones() -> None:
    real, train = gaussian(250, 1), gaussian(400, 2)
    for wrong in (gaussian(300, 0) + 1, 0.3 * gaussian(300, 0)):  # elsewhere, and collapsed
        for score in evaluate(wrong, real, train=train, metrics=DISTANCES):
            assert score.excess > 4 and score.reading.startswith("told apart"), score


def test_half_of_the_real_data_stands_in_without_training_data() -> None:
    result = evaluate(gaussian(300, 0), gaussian(250, 1))
    assert [score.name for score in result] == [*DISTANCES, *SHARES]
    assert all((score.n_fake, score.n_real) == (125, 125) for score in result)
    assert "125 of the 300 samples" in result.notes[0]


def test_the_seed_decides_everything_and_order_nothing() -> None:
    x, real, train = gaussian(200, 0), gaussian(200, 1), gaussian(200, 2)
    once = evaluate(x, real, train=train)
    assert once == evaluate(x, real, train=train)
    turned = evaluate(x.flip(0), real.flip(0), train=train.flip(0))
    for score in once:
        if score.name == "classifier":  # its folds are dealt by position
            continue
        assert turned[score.name].value == pytest.approx(score.value, rel=1e-9)
        if score.name != "copies":  # its floor splits the held-out rows
            assert turned[score.name].floor == pytest.approx(score.floor, rel=1e-9)


def test_images_are_judged_in_random_convolutions_and_the_distance_says_so() -> None:
    x, real, train = (Rng(s).integers(256, torch.empty(40, 1, 16, 16)).to(torch.uint8) for s in range(3))
    result = evaluate(x, real, train=train)
    score = result["frechet"]
    assert score.label == "FD (random-conv:0)" and result.features == "random-conv:0"
    assert "under twice the 288 features" in score.note
    assert "under 10,000" in evaluate(gaussian(50, 0), gaussian(50, 1), metrics=["frechet"])["frechet"].note


def test_labels_that_tell_nothing_leave_class_accuracy_out() -> None:
    x, one, two = gaussian(30, 0), torch.zeros(30).long(), torch.arange(30) % 2
    for train_labels, real_labels, why in ((one, one, "one class only"), (two, two * 3, "real_labels hold classes")):
        given = {"train": x, "labels": one, "real_labels": real_labels, "train_labels": train_labels}
        result = evaluate(x, x, **given)
        assert "class_accuracy" not in result and any(why in note for note in result.notes)
        with pytest.raises(UserError):
            evaluate(x, x, metrics=["class_accuracy"], **given)


@pytest.mark.slow
def test_large_sets_are_thinned_where_all_pairs_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("scorefield.metrics.evaluate")  # the package's attribute is the function
    monkeypatch.setattr(module, "MAX_ROWS", 5_500)
    x, real, train = gaussian(6_000, 0, 2), gaussian(5_200, 1, 2), gaussian(5_800, 2, 2)
    result = evaluate(x, real, train=train, metrics=["frechet", "energy", "two_sample"])
    assert (result["frechet"].n_fake, result["frechet"].n_real) == (5_500, 5_200)
    assert all((result[name].n_fake, result[name].n_real) == (5_000, 5_000) for name in ("energy", "two_sample"))
    assert "all pairs are compared" in result["energy"].note and not result["frechet"].note.startswith("thinned")
    whole = evaluate(x[:5_000], real[:5_000], train=train[:5_000], metrics=["two_sample"])
    assert "thinned" not in whole["two_sample"].note  # exactly the limit: nothing was left out
    assert "fake: 5,500 of 6,000 rows were used." in result.notes


def test_an_evaluation_goes_through_json_and_into_tables(fresh: Evaluation) -> None:
    text = json.dumps(fresh.to_json(), allow_nan=False)
    assert Evaluation.from_json(text) == Evaluation.from_json(json.loads(text)) == fresh
    head, *lines = str(fresh).splitlines()
    assert head.split() == ["metric", "samples", "real", "data", "reading"] and len(lines) == len(fresh)
    rows = fresh.rows()
    assert len(rows) == len(fresh) == len(GIVEN) and set(rows[0]) == {
        "metric",
        "samples",
        "floor",
        "n",
        "reading",
        "note",
    }
    assert rows[0]["metric"] == "FD (pixels)" and rows[0]["n"] == "300 / 250" and " ± " in rows[0]["floor"]
    assert "energy" in fresh and "fid" not in fresh
    with pytest.raises(UserError, match="Did you mean 'energy'"):
        fresh["enrgy"]
    for broken in ("[]", "{", '{"scores": [{"name": 1}], "features": "", "seed": 0, "notes": []}'):
        with pytest.raises(UserError, match="not an evaluation"):
            Evaluation.from_json(broken)


@pytest.mark.parametrize(
    ("value", "se", "text"),
    [(0.00421, 0.00061, "0.00421 ± 0.00061"), (12.345, 1.5, "12.3 ± 1.5"), (1234.5, 30.0, "1234 ± 30"),
     (1.0, 0.0, "1 ± 0"), (3.2e-9, 1.1e-9, "3.2e-09 ± 1.1e-09")],
)  # fmt: skip
def test_the_error_decides_the_digits(value: float, se: float, text: str) -> None:
    assert plus_minus(value, se) == text


@pytest.mark.parametrize(("better", "sign"), [("lower", 1), ("higher", -1)])
def test_excess_points_to_the_bad_side(better: str, sign: int) -> None:
    score = Score("m", "M", 2.0, 0.3, 1.0, 0.4, 10, 10, "pixels", better=better)
    assert score.excess == pytest.approx(sign * 2)
    exact = Score("m", "M", 2.0, 0.0, 1.0, 0.0, 10, 10, "pixels", better=better)
    assert exact.excess == sign * math.inf


def bad(**changes: Any) -> Any:
    given: dict[str, Any] = {"fake": gaussian(30, 0), "real": gaussian(30, 1)} | changes
    return given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (bad(fake=gaussian(9, 0)), "The samples hold 9 examples; at least 10"),
        (bad(real=gaussian(19, 0)), "19 examples; at least 20"),
        (bad(fake=gaussian(30, 0, 5)), "The samples have shape 5 an example and the real data 4"),
        (bad(fake=gaussian(30, 0).to(torch.uint8)), "torch.uint8 and the real data torch.float32"),
        (bad(fake=gaussian(30, 0) / 0), "NaN, infinity"),
        (bad(train=gaussian(30, 0) / 0), "in the training data hold NaN"),
        (bad(metrics=["fid"]), "No metric 'fid'"),
        (bad(metrics=[]), "No metric was asked for"),
        (bad(metrics=["copies"]), "'copies' needs train, which was not given"),
        (bad(metrics=["class_accuracy"]), "needs train and labels and real_labels and train_labels, which were"),
        (bad(labels=torch.zeros(3).long()), r"labels has shape \(3,\); fake holds 30"),
        (bad(floor_from="train"), "needs train"),
        (bad(floor_from="halves"), "No floor_from='halves'"),
        (bad(features="incepton"), "No features 'incepton'. Did you mean 'inception'"),
        (bad(features="inception"), "needs the weights: features=inception:PATH"),
    ],
)
def test_bad_input_gets_a_sentence(given: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        evaluate(given.pop("fake"), given.pop("real"), **given)
