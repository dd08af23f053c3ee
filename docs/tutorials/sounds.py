# %% [markdown]
# # Sounds
#
# A folder of sounds, learned with a one-dimensional U-Net. To run anywhere, the sounds are made on the spot: plucked
# notes in three classes, as wave files. Everything here takes less than a minute on two CPU cores, so notes and
# training are short. On the command line: `scorefield train notes/`, then `scorefield sample last n=8 out=new/`.
#
# ## A folder of sounds

# %%
import wave
from pathlib import Path

import numpy as np

import scorefield as sf

RATE, LENGTH = 2000, 256
rng = np.random.default_rng(0)
time = np.arange(LENGTH) / RATE
for name, hertz in {"low": 62.5, "middle": 125.0, "high": 250.0}.items():
    folder = Path("notes") / name
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(200):
        pitch = hertz * np.exp(0.03 * rng.normal())
        decay = np.exp(-time * rng.uniform(15, 40))
        sound = 0.8 * decay * np.sin(2 * np.pi * pitch * time + rng.uniform(-0.3, 0.3))
        with wave.open(str(folder / f"{i}.wav"), "wb") as file:
            file.setnchannels(1), file.setsampwidth(2), file.setframerate(RATE)
            file.writeframes((32767 * sound).astype("<i2").tobytes())

# %% [markdown]
# ## What was read

# %%
notes = sf.open_data("notes")
print(notes, notes.rate, "samples a second")

# %%
from scorefield.show.grid import picture

picture(notes.x[::50], "signals", title="real")

# %% [markdown]
# ## Training

# %%
run = sf.train("notes", steps=300, batch=32, channels=16, lr=2e-3, preview=0, evaluate=False)
new = run.sample(12, label=["low", "middle", "high"], guidance=1.5)
new.picture()

# %% [markdown]
# ## Are they in tune?
#
# The strongest frequency of each sound, from its Fourier transform padded to a resolution of half a hertz:

# %%
many = run.sample(60, label=["low", "middle", "high"], guidance=1.5)
spectrum = np.abs(np.fft.rfft(many.x[:, 0].numpy(), n=2 * RATE))
pitches = spectrum.argmax(1) / 2
for k, name in enumerate(run.classes):
    own = pitches[many.labels.numpy() == k]
    print(f"{name:>6}: median {np.median(own):.0f} Hz, from {own.min():.0f} to {own.max():.0f} Hz")

# %% [markdown]
# ## Listen
#
# A folder of wave files, one for each sample:

# %%
new.save("new")
print(len(list(Path("new").rglob("*.wav"))), "files")
