"""Imports obey one table; importing scorefield imports little; nothing needs torchvision. (Seconds:
benchmarks/startup.py.)"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.house.source import imported_units, modules

BASE = {"errors"}
MATHS = BASE | {"core", "belief", "registry"}
LIBRARY = MATHS | {
    "noise",
    "denoisers",
    "objectives",
    "solvers",
    "guidance",
    "sampling",
    "tuning",
    "nets",
    "analytic",
    "likelihood",
    "operators",
    "posterior",
}
BELOW_CLI = LIBRARY | {"export", "options", "config", "data", "metrics", "show", "training", "runs", "__init__"}

ARROW = {  # unit: what it may import of scorefield
    "__init__": BELOW_CLI,
    "__main__": {"cli"},
    "errors": set(),
    "core": BASE,
    "belief": BASE | {"core"},
    "options": BASE,
    "registry": BASE | {"config"},
    "config": BASE | {"options", "registry"},
    "noise": MATHS,
    "denoisers": MATHS | {"noise"},
    "operators": MATHS,
    "analytic": MATHS | {"noise", "denoisers", "operators"},
    "likelihood": MATHS | {"noise", "denoisers", "solvers"},
    "objectives": MATHS,
    "solvers": MATHS,
    "guidance": MATHS,
    "sampling": MATHS | {"solvers"},
    "tuning": MATHS | {"solvers"},
    "posterior": MATHS | {"noise", "denoisers", "solvers", "guidance", "sampling", "operators"},
    "nets": BASE | {"registry"},
    "data": BASE | {"core", "registry"},
    "metrics": BASE | {"core"},
    "show": BASE,
    "training": BASE | {"core", "registry", "objectives"},
    "testing": LIBRARY,
    "export": LIBRARY,
    "runs": BELOW_CLI,
    "cli": BELOW_CLI,
}


def test_imports_obey_the_arrow():
    """A unit imports only what its line of the table names; nothing imports the command line."""
    wrong = [
        f"{module.at(node)}: {module.unit} may not import {unit}"
        for module in modules()
        for unit, node in imported_units(module)
        if unit != module.unit and unit not in ARROW.get(module.unit, set())
    ]
    assert not wrong, "\n".join(wrong)


def test_every_unit_has_its_line_in_the_table():
    assert {module.unit for module in modules()} <= set(ARROW)


def run_python(code: str, **env: str) -> str:
    """Run code in a fresh interpreter and return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | env
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_scorefield_imports_nothing_heavy():
    """The package is a table of contents: its names are imported when they are first used."""
    heavy = json.loads(run_python(f"import sys, json, scorefield; print(json.dumps([{HEAVY_IN_SYS}]))"))
    assert not heavy


HEAVY_IN_SYS = "m for m in ('torch', 'numpy', 'pydantic', 'rich', 'PIL', 'safetensors') if m in sys.modules"


def test_public_names_bring_no_other_package_than_the_core_ones():
    """Beyond torch and what torch itself imports: numpy, Pillow and safetensors, and not even pydantic or rich."""
    code = (
        "import json, sys, torch; before = set(sys.modules); import scorefield\n"
        "for name in scorefield.__all__: getattr(scorefield, name)\n"
        "new = {m.partition('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names)\n"
        "print(json.dumps(sorted(new - {'scorefield', 'PIL', 'numpy', 'safetensors'})))"
    )
    extra = [name for name in json.loads(run_python(code)) if not name.startswith(("_", "__"))]
    assert not extra


def test_every_module_imports_without_torchvision_and_torchaudio():
    """torchvision cannot load beside CPU builds of torch, and then takes whatever imports it down with it."""
    names = [f"scorefield.{module.name}" for module in modules() if not module.name.startswith("__")]
    code = "import sys, importlib\nsys.modules['torchvision'] = sys.modules['torchaudio'] = None\n"
    run_python(code + f"for name in {names!r}: importlib.import_module(name)")
