"""Samples that no run of ours made against real data, files of statistics, and what is refused before any work."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import scorefield
from scorefield.cli.main import main
from scorefield.errors import UserError
from scorefield.runs import RunFolder, evaluate_samples
from scorefield.runs.account import Account
from scorefield.runs.sets import is_samples
from scorefield.runs.written import RULE

pytestmark = pytest.mark.usefixtures("blank_pictures")


@pytest.fixture
def sets(tmp_path: Path) -> dict[str, Path]:
    """Real images, others of the same law, and noisy ones, as a script of somebody else would leave them."""
    rng = np.random.default_rng(0)
    law = rng.random((2, 8, 8))
    images = (law[rng.integers(2, size=160)] * rng.uniform(0.5, 1, (160, 1, 1)) * 255).astype(np.uint8)[:, None]
    noisy = np.clip(images[:60].astype(int) + rng.integers(-40, 40, (60, 1, 8, 8)), 0, 255).astype(np.uint8)
    paths = {name: tmp_path / f"{name}.npz" for name in ("real", "good", "noisy")}
    for name, x in (("real", images[:100]), ("good", images[100:]), ("noisy", noisy)):
        np.savez(paths[name], x=x)
    return paths


def test_two_sets_are_compared_without_a_run(sets: dict[str, Path]):
    good, noisy = (evaluate_samples(sets[name], sets["real"], device="cpu") for name in ("good", "noisy"))
    assert abs(good["classifier"].excess) < 3 and noisy["classifier"].value > 0.9
    assert noisy["coverage"].value < good["coverage"].value
    assert "copies" not in good and "50 examples of one half of the real data" in good.notes[0]
    assert evaluate_samples(sets["good"], sets["real"], n=20, metrics=["kernel"], device="cpu")["kernel"].n_fake == 20


@pytest.fixture
def written(tmp_path: Path) -> dict[str, Path]:
    """A text of twelve words at random, one of the same law as samples are written, and one with its letters mixed."""
    rng = np.random.default_rng(0)
    words = ["the", "a", "cat", "dog", "house", "river", "runs", "sleeps", "under", "over", "quietly", "today"]
    real, good = (" ".join(rng.choice(words, size)) for size in (3000, 600))
    mixed = "".join(rng.permutation(list(good)))
    texts = {"real": real, "good": RULE.join(good[i : i + 50] for i in range(0, 2000, 50)), "mixed": mixed}
    paths = {name: tmp_path / f"{name}.txt" for name in texts}
    for name, text in texts.items():
        paths[name].write_text(text + "\n", encoding="utf-8")
    return paths


def test_two_texts_are_compared_without_a_run(written: dict[str, Path]):
    """Pieces of the text's own law are not told from it (|excess| < 4 of three figures: false alarms below 1e-3, the
    seed is fixed); letters in disorder are neither likely nor words."""
    good, mixed = (evaluate_samples(written[name], written["real"]) for name in ("good", "mixed"))
    assert [score.name for score in good] == ["perplexity", "grams", "words"] and good["grams"].n_fake == 40
    assert all(abs(score.excess) < 4 for score in good)
    assert mixed["perplexity"].value > 3 * mixed["perplexity"].floor and mixed["grams"].value < 0.01
    assert mixed["words"].value < 0.5 < good["words"].value
    few = evaluate_samples(str(written["good"]), written["real"], n=5, metrics=["grams"])
    assert [score.name for score in few] == ["grams"] and few["grams"].n_fake == 5


def test_what_cannot_be_compared_with_a_text_is_a_sentence(written: dict[str, Path], sets: dict[str, Path]):
    short = written["real"].with_name("short.txt")
    short.write_text("a cat", encoding="utf-8")
    for against, options, said in (
        (None, {}, "compare it with a text that people wrote: against=FILE.txt"),
        (sets["real"], {}, "compare it with a text that people wrote"),
        (short, {}, "holds 5 characters, which make 0 of the length of the samples"),
        (written["real"], {"metrics": ["gram"]}, "Did you mean 'grams'"),
        (written["real"], {"features": "pixels"}, "features=pixels is for images and numbers"),
        (written["real"], {"n": 900}, "n=900 is more than the 40 pieces"),
        (written["real"].with_name("none.txt"), {}, "does not exist"),
    ):
        with pytest.raises(UserError) as caught:
            evaluate_samples(written["good"], against, **options)
        assert said in str(caught.value)


def test_statistics_are_written_and_compared_with(sets: dict[str, Path], tmp_path: Path):
    stats = tmp_path / "stats.npz"
    evaluate_samples(sets["good"], sets["real"], metrics=["kernel"], save_stats=stats, device="cpu")
    with np.load(stats, allow_pickle=False) as file:
        assert file["mu"].shape == (64,) and file["sigma"].shape == (64, 64) and int(file["n"]) == 100
    alone = evaluate_samples(sets["noisy"], reference=stats, device="cpu")
    assert [score.name for score in alone] == ["frechet_reference"] and alone["frechet_reference"].n_real == 100
    both = evaluate_samples(sets["noisy"], sets["real"], reference=stats, device="cpu")
    assert both["frechet_reference"].value == pytest.approx(alone["frechet_reference"].value)


def test_a_run_writes_statistics_of_what_it_was_trained_on(moons: Path, tmp_path: Path, monkeypatch):
    run, stats = scorefield.load(moons), tmp_path / "moons.npz"
    found = run.evaluate(n=40, steps=2, metrics=["frechet"], features="pixels", save_stats=stats, keep=False)
    with np.load(stats) as file:
        assert int(file["n"]) == len(run.dataset()) and str(file["features"]) == "pixels"
    again = run.evaluate(n=40, steps=2, metrics=["frechet_reference"], features="pixels", reference=stats, keep=False)
    assert again["frechet_reference"].n_fake == 40 and again["frechet_reference"].n_real == len(run.dataset())
    assert [score.name for score in found] == ["frechet"]

    def never(*args, **options):
        raise AssertionError("sampled before the input was checked")

    monkeypatch.setattr(type(run), "sample", never)
    for wrong, message in (
        ({"metrics": ["kernal"]}, "Did you mean 'kernel'"),
        ({"features": "inception:weights.pth"}, "compares grey or RGB images"),
        ({"reference": tmp_path / "none.npz"}, "does not exist"),
        ({"reference": stats, "features": "standardised"}, "was made with features 'pixels'"),
        ({"save_stats": stats}, "exists and is not overwritten"),
        ({"save_stats": tmp_path / "stats.json"}, "should end in .npz"),
        ({"save_stats": tmp_path / "pca.npz", "features": "pca:1"}, "fitted to the data"),
    ):
        with pytest.raises(UserError, match=message):
            run.evaluate(n=40, **wrong)


def test_the_report_shows_each_figure_with_all_that_belongs_to_it(moons: Path):
    run = scorefield.load(moons)
    run.evaluate(n=40, steps=2, metrics=["kernel", "coverage"])
    told = Account(run, RunFolder(moons)).metrics()
    assert [metric.name for metric in told] == ["kernel distance", "coverage"]
    page = run.report().read_text(encoding="utf-8")
    for metric in told:
        assert metric.floor is not None and metric.floor_se and metric.se and metric.n.startswith("40 against")
        assert (metric.features, metric.se_from[:5]) == ("features: pixels", "± by ")
        assert metric.se_from in page and metric.n in page


def test_sets_that_cannot_be_compared_are_refused(sets: dict[str, Path], tmp_path: Path):
    with pytest.raises(UserError, match=r"say what to compare it with: against=PATH"):
        evaluate_samples(sets["good"])
    with pytest.raises(UserError, match="holds vectors"):
        evaluate_samples(sets["good"], np.zeros((30, 2), np.float32))
    with pytest.raises(UserError, match="n=500 is more than the 60 samples"):
        evaluate_samples(sets["good"], sets["real"], n=500)


def test_the_command_takes_runs_and_samples(sets: dict[str, Path], moons: Path, capsys):
    assert is_samples(str(sets["good"]), "runs") and not is_samples(str(moons), "runs")
    assert not is_samples(str(moons.parent), "runs") and not is_samples(moons.name, moons.parent)
    assert main(["evaluate", str(sets["good"]), f"against={sets['real']}", "metrics=frechet,coverage", "--json"]) == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert [score["name"] for score in found["scores"]] == ["frechet", "coverage"] and found["features"] == "pixels"
    assert "scorefield.runs.evaluate_samples(" in shown.err
    assert main(["evaluate", str(sets["good"]), f"against={sets['real']}", "steps=4"]) == 2
    assert "holds samples already" in capsys.readouterr().err
