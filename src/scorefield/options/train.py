"""The options of `scorefield train`."""

from __future__ import annotations

from .shared import DATA_HELP, DEVICES, NOISES, PREDICTIONS, READING, SCHEDULES_OF_ALL, SWITCH, Command
from .values import Option

TRAIN = Command(
    "train",
    "DATA",
    DATA_HELP,
    "Train a model on DATA. The same command again goes on where it stopped.",
    (
        ("train on real handwriting, three minutes on two cores", "scorefield train digits"),
        ("train on your own photos, for half an hour", "scorefield train photos/ size=64 minutes=30"),
        (
            "choose model, noise and batch yourself",
            "scorefield train moons model=mlp schedule=flow predict=flow batch=512",
        ),
    ),
    (
        (
            "data",
            (
                *READING,
                Option(
                    "flip", "choice", "auto", "Mirror images at random: yes for photos, no for writing.", choices=SWITCH
                ),
            ),
        ),
        (
            "model",
            (
                Option(
                    "model",
                    "choice",
                    "auto",
                    "The network: unet, dit or edm2 for images and signals, mlp or transformer for points and tables, "
                    "sequence for text; pixelcnn and pixelcnn++ draw images pixel after pixel.",
                    choices=("auto", "unet", "dit", "edm2", "mlp", "transformer", "sequence", "pixelcnn", "pixelcnn++"),
                    common=True,
                ),
                Option(
                    "scaling",
                    "choice",
                    "auto",
                    "Numbers of a table by their quantiles, or by mean and deviation.",
                    choices=("auto", "quantile", "standard"),
                ),
                Option(
                    "coding",
                    "choice",
                    "auto",
                    "Categories of a table as tokens, or as numbers: one each, or binary digits.",
                    choices=("auto", "tokens", "numbers", "onehot", "bits"),
                ),
                Option(
                    "channels",
                    "int",
                    None,
                    "Width of the network (unet, edm2: channels of the first level).",
                    low=1,
                    common=True,
                ),
                Option(
                    "mult",
                    "ints",
                    None,
                    "unet, edm2: multiples of `channels` at each level; each level halves the edge.",
                    low=1,
                ),
                Option("blocks", "int", None, "unet, edm2: residual blocks a level; others: blocks in all.", low=1),
                Option(
                    "attention",
                    "ints",
                    None,
                    "unet, edm2: edge lengths at which attention is used; `none` for no attention.",
                    "pixels",
                    low=1,
                ),
                Option("heads", "int", None, "unet, dit, transformer, sequence: attention heads.", low=1),
                Option("patch", "int", None, "dit: edge of a patch; half of it is four times the tokens.", low=1),
                Option("dropout", "float", None, "Fraction of activations dropped.", low=0, high=0.95),
                Option(
                    "classifier",
                    "bool",
                    False,
                    "Learn to tell the class of noisy data instead, to guide another run's samples.",
                ),
                Option(
                    "conditional",
                    "choice",
                    "auto",
                    "Learn the classes, so that samples can be asked for by class.",
                    choices=SWITCH,
                ),
            ),
        ),
        (
            "noise",
            (
                Option(
                    "schedule",
                    "choice",
                    "auto",
                    "How data become noise.",
                    choices=("auto", *SCHEDULES_OF_ALL, "learned"),
                    common=True,
                ),
                Option(
                    "noise",
                    "choice",
                    "auto",
                    "What becomes of text and categories: they are masked, replaced by others, or both; argmax makes "
                    "them numbers, to which noise is added.",
                    choices=("auto", *NOISES),
                ),
                Option(
                    "predict",
                    "choice",
                    "auto",
                    "What the network predicts; ncsn: the score times σ, without being told the noise; energy: "
                    "log p_t, the score being its gradient.",
                    choices=("auto", *PREDICTIONS, "energy"),
                ),
                Option(
                    "times",
                    "choice",
                    "auto",
                    "Distribution of training times.",
                    choices=("auto", "uniform", "stratified", "log-normal", "logit-normal", "importance", "levels"),
                ),
                Option(
                    "weight",
                    "choice",
                    "auto",
                    "Weight of each time in the loss.",
                    choices=("auto", "simple", "edm", "flow", "min-snr", "p2", "sigmoid", "likelihood"),
                ),
                Option(
                    "variance",
                    "choice",
                    "auto",
                    "learned: a network that says how much noise each step draws, too; weight=likelihood then follows "
                    "the bound.",
                    choices=("auto", "learned"),
                ),
                Option(
                    "dequantise",
                    "choice",
                    "auto",
                    "Spread the levels of images over their bins while learning, evenly or by a law that is learned; "
                    "otherwise variational with weight=likelihood.",
                    choices=("auto", "no", "uniform", "variational"),
                ),
                Option(
                    "label_dropout",
                    "float",
                    None,
                    "Fraction of examples trained without their class, which guidance needs.",
                    low=0,
                    high=1,
                ),
            ),
        ),
        (
            "optimisation",
            (
                Option("steps", "int", None, "Stop after this many optimiser steps.", low=1, common=True),
                Option("codec_steps", "int", None, "codec=vq: steps in which the codec is trained before.", low=1),
                Option("images", "int", None, "Stop after this many training examples were seen.", low=1),
                Option("minutes", "float", None, "Stop after this much time.", "minutes", above=0, common=True),
                Option("batch", "int", None, "Examples per optimiser step, over all devices.", low=1, common=True),
                Option("accumulate", "int", None, "Micro-batches per step: less memory, same result.", low=1),
                Option("lr", "float", None, "Learning rate of AdamW.", above=0, common=True),
                Option(
                    "warmup",
                    "int",
                    None,
                    "Steps of linear warm-up; otherwise a twentieth of the run, at most 500.",
                    low=0,
                ),
                Option(
                    "decay",
                    "choice",
                    "auto",
                    "Learning rate after warm-up: constant, cosine to 0, or 1/√step.",
                    choices=("auto", "constant", "cosine", "rsqrt"),
                ),
                Option("weight_decay", "float", None, "Decoupled weight decay of AdamW.", low=0),
                Option("clip", "float", None, "Largest norm of the gradient; 0 does not clip.", low=0),
                Option(
                    "ema",
                    "floats",
                    None,
                    "Widths σ_rel of the averaged weights; the first is the one sampled.",
                    above=0,
                    high=0.28,
                ),
                Option(
                    "snapshots",
                    "int",
                    None,
                    "Snapshots of the averages, from which any other width is rebuilt later; otherwise 10, 0 for none.",
                    low=0,
                ),
                Option(
                    "precision",
                    "choice",
                    "auto",
                    "Arithmetic of the network.",
                    choices=("auto", "fp32", "bf16", "fp16"),
                ),
                Option("compile", "choice", "auto", "Compile the network: a slow start, then faster.", choices=SWITCH),
                Option(
                    "shard",
                    "choice",
                    "auto",
                    "Each device holds a part of every weight (FSDP2), for networks that do not fit on one.",
                    choices=SWITCH,
                ),
                Option(
                    "recompute",
                    "choice",
                    "auto",
                    "Compute activations again in the backward pass instead of keeping them: less memory, slower.",
                    choices=SWITCH,
                ),
                Option(
                    "channels_last",
                    "choice",
                    "auto",
                    "Memory layout that is faster for most images.",
                    choices=SWITCH,
                ),
            ),
        ),
        (
            "run",
            (
                Option("name", "str", None, "Name of the run folder; otherwise that of the data.", common=True),
                Option(
                    "recipe", "path", None, "Settings to start from: a name of `scorefield recipes`, or a .toml file."
                ),
                Option("runs", "path", "runs", "Folder that holds the run folders."),
                Option("fresh", "bool", False, "Start anew instead of going on with the same command's earlier run."),
                Option("seed", "int", 0, "Seed of everything random.", low=0, common=True),
                Option(
                    "device",
                    "choice",
                    "auto",
                    "Where to compute; otherwise the best one found.",
                    choices=DEVICES,
                    common=True,
                ),
                Option("devices", "int", None, "How many devices (processes) train together.", low=1),
                Option("preview", "int", None, "Steps between pictures of samples; 0 for none.", low=0),
                Option("save", "int", None, "Steps between checkpoints; the last two are kept.", low=1),
                Option("log", "int", None, "Steps between lines of metrics.jsonl.", low=1),
                Option("evaluate", "bool", True, "Measure samples against held-out data at the end."),
                Option(
                    "tracker",
                    "words",
                    None,
                    "Also told how it goes, separated by commas: tensorboard, wandb, mlflow, trackio.",
                ),
            ),
        ),
    ),
    dotted=True,
)
