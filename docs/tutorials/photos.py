# %% [markdown]
# # Your own photos
#
# A folder of images is all it takes; subfolders become classes. So that this page can run anywhere, it first makes such
# a folder out of a set that scorefield can draw by itself: letters in two colours. With photos of yours, begin at
# "What would be trained on". Everything here takes less than a minute on two CPU cores, because images and training are
# tiny; real photos want `size=64`, a GPU or a night, and `minutes=...`.
#
# ## A folder of pictures

# %%
from pathlib import Path

from PIL import Image

import scorefield as sf
from scorefield.data import glyphs

drawn = glyphs(3000, size=16)
wanted = [i for i, label in enumerate(drawn.labels.tolist()) if drawn.classes[label] in "AEOX"]
for i in wanted:
    folder = Path("photos") / drawn.classes[drawn.labels[i]]
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(drawn.x[i].permute(1, 2, 0).numpy()).resize((40, 40)).save(folder / f"{i}.png")
print({folder.name: len(list(folder.iterdir())) for folder in sorted(Path("photos").iterdir())})

# %% [markdown]
# ## What would be trained on
#
# `scorefield data photos/ size=16` prints this and shows a picture. Look at it before you train: `size` crops to the
# centre and resizes, broken files are named, duplicates are counted.

# %%
data = sf.open_data("photos", size=16)
data

# %%
from scorefield.show.grid import picture

picture(data.x[:: len(data) // 32], "images", max_items=32)

# %% [markdown]
# ## Training
#
# `scorefield train photos/ size=16 steps=150` does the same. Ctrl-C saves, and the same command goes on from there.

# %%
run = sf.train("photos", size=16, steps=150, batch=32, channels=16, lr=2e-3, preview=0, evaluate=False)
run.sample(32, label=["A", "E", "O", "X"]).picture()

# %% [markdown]
# 150 steps of a small network are few. A run can be trained longer: the same call with more steps goes on where it
# stopped.

# %%
run = sf.train("photos", size=16, steps=400, batch=32, channels=16, lr=2e-3, preview=0, evaluate=False)
run.sample(32, label=["A", "E", "O", "X"], guidance=1.5).picture()

# %% [markdown]
# Colours come first and shapes later: 400 steps show how it works and not what it can do. Without `steps` the number is
# chosen for the data.
#
# ## What is left
#
# The run folder holds everything, also a report that opens offline.

# %%
print(run.folder.path / "report.html", (run.folder.path / "report.html").exists())
