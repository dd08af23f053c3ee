# %% [markdown]
# # Points in the plane
#
# Two numbers an example: small enough that one sees everything. Every line on this page was executed when the page was
# built, in less than a minute on two CPU cores; the training is short, and the default is longer and better. On the
# command line: `scorefield train moons steps=1000`, then `scorefield compare last`.
#
# ## The truth
#
# `moons` are two arcs with a little noise around them, 20,000 points, a tenth of them held out.

# %%
import scorefield as sf
from scorefield.show.grid import picture

moons = sf.open_data("moons")
picture(moons.held_out.x[:800], "vectors", title="real")

# %% [markdown]
# ## Training and sampling
#
# For points the network is an MLP. Samples are drawn in the units of the data, and pictures show them over real points.

# %%
run = sf.train("moons", name="moons", steps=1000, batch=256, preview=0, evaluate=False)
run.sample(800).picture(reference=moons.held_out.x[:800])

# %% [markdown]
# The moons are two classes; ask for one of them with `label`.

# %%
run.sample(400, label=1).picture(reference=moons.held_out.x[:800])

# %% [markdown]
# ## How close are they?
#
# Every figure stands beside its floor, the value that real points reach against other real points.

# %%
print(run.evaluate(n=500, metrics=["energy", "sliced_wasserstein"]))

# %% [markdown]
# ## Which solver, how many steps?
#
# Two things can be wrong with a sample: the network, and the walk from noise to data. `compare` measures the second
# alone. All solvers start from the same noise, and their ends are held against a solution of so many steps that more
# would change nothing. "Evaluations" is what they cost: calls of the network for each point.

# %%
comparison = run.compare(solvers=["euler", "heun", "dpmpp2m", "flow2pc"], steps=[4, 8, 16], n=128)
comparison.picture()

# %%
for entry in comparison.best():
    print(f"{entry.solver:>8} in {entry.nfe:>2} evaluations: off by {entry.error:.4f}")

# %% [markdown]
# These are the entries that no other one beats both in cost and in error. [Choose a solver](../choose-a-solver.md) has
# the same comparison on more problems.
