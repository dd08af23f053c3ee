"""A table with categories: tokens beside numbers through the same commands, and sentences where they cannot go."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import scorefield
from scorefield.errors import UserError
from tests.runs.test_tables import SMALL, write


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> scorefield.Run:
    folder = tmp_path_factory.mktemp("mixed")
    return scorefield.train(str(write(folder / "pets.csv")), label="tame", runs=folder / "runs", **SMALL)


def test_the_plan_says_tokens_and_numbers(pets: scorefield.Run):
    config = pets.config
    assert pets.family == "mixed" and config["codec"]["type"] == "mixed" and config["codec"]["tokens"] == [1]
    assert config["process"]["type"] == "product" and config["process"]["columns"] == config["net"]["dim"] == 3
    assert config["net"]["tokens"] == config["denoiser"]["sizes"] == [3]  # cat, dog, missing
    assert set(config["objective"]) == {"type", "numbers", "tokens", "share", "label_dropout"}
    card = pets.report().with_name("README.md").read_text(encoding="utf-8")
    assert "masks for tokens" in card and "Sahoo" in card and "Karras" in card  # the papers of both parts


def test_it_walks_as_asked_and_films_both_parts(pets: scorefield.Run):
    film = pets.sample(6, steps=3, solver="euler", guidance=2.0, schedule="vp", trajectory=True)
    assert film.captions[0] == "100% masked" and film.captions[-1].startswith("noise 0")
    assert film.frames[0][:, 1].isnan().all() and not film.frames[0][:, 0].isnan().any()
    assert torch.equal(film.frames[-1].nan_to_num(-1), film.x.nan_to_num(-1))


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda run: run.tune(4), "steps of numbers alone, but pets has tokens as well. Train it with coding=numbers"),
        (lambda run: run.compare(), "but pets has tokens as well"),
        (lambda run: run.export(), "but pets has tokens as well"),
        (lambda run: run.edit("x"), "edit"),
        (lambda run: run.sample(2, solver="maskgit"), "solver=maskgit does not walk table"),
        (lambda run: run.sample(2, top_k=2), "top_k=2 makes texts surer; of a table that is not done"),
        (lambda run: run.sample(2, table="yes"), "no table of that many steps"),
    ],
)
def test_what_tokens_cannot_do_is_said_in_a_sentence(pets: scorefield.Run, ask, error: str):
    with pytest.raises(UserError, match=error):
        ask(pets)


def test_words_that_do_not_go_together(tmp_path: Path):
    path = str(write(tmp_path / "pets.csv"))
    with pytest.raises(UserError, match="model=transformer learns points and tables"):
        scorefield.train(path, runs=tmp_path, coding="tokens", model="transformer", **SMALL)
    with pytest.raises(UserError, match="coding=tokens makes none"):
        scorefield.train(path, runs=tmp_path, label="tame", classifier=True, coding="tokens", **SMALL)
    with pytest.raises(UserError, match="noise=uniform is for text and categories"):
        scorefield.train(path, runs=tmp_path, noise="uniform", **SMALL)
    run = scorefield.train(path, runs=tmp_path, model="transformer", **SMALL)
    assert run.family == "gaussian" and run.config["codec"]["type"] == "table"


def test_a_table_of_words_alone(tmp_path: Path):
    lines = ["a,b", *(f"{'xyz'[i % 3]},{'uv'[i % 2]}" for i in range(90))]
    (tmp_path / "words.csv").write_text("\n".join(lines) + "\n")
    run = scorefield.train(tmp_path / "words.csv", runs=tmp_path / "runs", **SMALL)
    samples = run.sample(20)
    assert run.config["net"]["dim"] == 0 and samples.nfe == 2  # a token an evaluation, and no numbers
    assert {word for line in samples.save(tmp_path / "s.csv").read_text().splitlines() for word in line} == set(
        "abxyzuv,"
    )
