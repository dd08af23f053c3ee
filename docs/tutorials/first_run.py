# %% [markdown]
# # A first run
#
# From data to new pictures in a few lines of Python. Every line on this page was executed when the page was built; it
# takes about a minute on two CPU cores. On the command line the same is `scorefield train digits`.
#
# ## The data
#
# `open_data` takes a folder of images, a file, an array, or the name of an embedded set. Here are real handwritten
# digits, 8 × 8 pixels, in ten classes. Half of them are held out: the model never sees them, and the samples are
# compared with them.

# %%
import scorefield as sf

digits = sf.open_data("digits")
print(digits.name, tuple(digits.x.shape), digits.x.dtype, digits.classes)
print(len(digits.held_out), "held out")

# %% [markdown]
# ## Training
#
# `train` chooses a network, a noise schedule and a size of step that suit the data. 500 steps are few; the default is
# longer and better. What was chosen, and why, is written into `runs/first/config.toml`.

# %%
run = sf.train("digits", name="first", steps=500, evaluate=False)
run

# %% [markdown]
# ## New digits
#
# Each sample is a function of the seed and its own number: the third of 16 is the third of 1,000.

# %%
run.sample(32, seed=0).picture()

# %% [markdown]
# The model knows the classes. `label` asks for some of them in turn, by number or by name; `guidance` above 1 insists.

# %%
run.sample(32, label=[3, 8], guidance=1.5).picture()

# %% [markdown]
# ## How many steps?
#
# Sampling walks from noise to data. The samples change with the number of steps, and after some they hardly do.

# %%
for steps in (3, 6, 12, 24):
    coarse = run.sample(32, steps=steps).x.float()
    fine = run.sample(32, steps=2 * steps).x.float()
    print(f"{steps:>2} → {2 * steps:>2} steps: the pixels move by {(coarse - fine).abs().mean():.1f} of 255 levels")

# %% [markdown]
# ## Are they any good?
#
# Each metric comes with its floor, the value that real data reach against other real data: below the floor there is
# nothing to gain.

# %%
print(run.evaluate(n=500))

# %% [markdown]
# ## Later
#
# A run is a folder. `load` takes its path, `"last"`, or a unique prefix of its name.

# %%
again = sf.load("runs/first")
(again.sample(8, seed=0).x == run.sample(32, seed=0).x[:8]).all()
