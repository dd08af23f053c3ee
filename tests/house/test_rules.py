"""The house rules of CONTRIBUTING.md that a syntax tree can show."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.house.source import Module, called, modules, walk

FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
LAZY = {"__init__", "cli.main"}  # tables of public names and of commands, each imported when it is first used
UNSEEDED = {"randn", "rand", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson"}


def assert_none(found: Iterator[str]) -> None:
    """An empty list, or the list as the failure's message."""
    lines = list(found)
    assert not lines, "\n" + "\n".join(lines)


def test_files_stay_under_300_lines():
    assert_none(f"{module.path.name}: {module.lines} lines" for module in modules() if module.lines >= 300)


@pytest.mark.parametrize("name", ["print", "hasattr", "eval", "exec", "__import__", "breakpoint", "globals"])
def test_forbidden_builtins(name: str):
    """No prints (the command line writes through its console), no guessing at types, no code from strings."""
    assert_none(m.at(n) for m, n in walk(ast.Call) if called(n) == name and not (name == "globals" and m.name in LAZY))


def test_no_import_by_string():
    """Only registered names can be built, so a downloaded file cannot run code."""
    found = (m.at(n) for m, n in walk(ast.Call) if called(n).endswith("import_module") and m.name not in LAZY)
    assert_none(found)


def test_no_pickles():
    """Neither the modules that read them nor torch's own reader and writer of them."""
    pickles = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    imports = (
        m.at(n)
        for m, n in walk((ast.Import, ast.ImportFrom))
        if pickles & {name.partition(".")[0] for name in [getattr(n, "module", None) or "", *(a.name for a in n.names)]}
    )
    assert_none(imports)
    assert_none(m.at(n) for m, n in walk(ast.Call) if called(n) in {"torch.load", "torch.save"})
    allowing = (m.at(n) for m, n in walk(ast.keyword) if n.arg == "allow_pickle" and ast.unparse(n.value) != "False")
    assert_none(allowing)


def test_no_unseeded_randomness():
    """Every draw names its generator, so that a number is a function of a seed."""
    assert_none(f"{m.at(n)}: {called(n)}" for m, n in walk(ast.Call) if unseeded(n))
    stdlib = (
        m.at(n)
        for m, n in walk((ast.Import, ast.ImportFrom))
        if "random" in {getattr(n, "module", None), *(a.name for a in n.names if isinstance(n, ast.Import))}
    )
    assert_none(stdlib)


def unseeded(call: ast.Call) -> bool:
    """Whether a call draws from a global generator of torch or numpy."""
    owner, _, name = called(call).rpartition(".")
    keywords = {keyword.arg for keyword in call.keywords}
    if owner == "torch":
        return name.endswith(("rand_like", "randn_like", "randint_like")) or (
            name in UNSEEDED and not keywords & {"generator", None}
        )
    if owner in {"np.random", "numpy.random"}:
        return name not in {"default_rng", "Generator", "PCG64", "Philox", "SeedSequence"} or not call.args
    in_place = {"normal_", "uniform_", "bernoulli_", "exponential_", "random_", "log_normal_", "cauchy_", "geometric_"}
    return name in in_place and "generator" not in keywords and not owner.endswith("init")


def own_classes() -> dict[str, ast.ClassDef]:
    """Every class that the package defines, by name."""
    return {node.name: node for _, node in walk(ast.ClassDef)}


def test_no_isinstance_on_own_types():
    """What differs between our classes is a method of theirs."""
    own = set(own_classes())
    found = (
        f"{m.at(n)}: {ast.unparse(n)}"
        for m, n in walk(ast.Call)
        if called(n) in {"isinstance", "issubclass"}
        and own & {leaf.id for leaf in ast.walk(n.args[1]) if isinstance(leaf, ast.Name)}
    )
    assert_none(found)


def test_super_only_in_networks():
    """Classes are abstract or final; torch's own Module is the one thing we inherit behaviour from."""
    classes = own_classes()
    found = (
        f"{m.at(cls)}: {cls.name}"
        for m, cls in walk(ast.ClassDef)
        if any(isinstance(n, ast.Call) and called(n) == "super" for n in ast.walk(cls)) and not inherits(cls, classes)
    )
    assert_none(found)


def inherits(cls: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> bool:
    """Whether a class is one of torch's modules or an autograd Function, also through another class of ours."""
    bases = [ast.unparse(base).partition("[")[0] for base in cls.bases]
    if any(base.endswith(("Module", "autograd.Function")) or base.startswith("nn.") for base in bases):
        return True
    return any(inherits(classes[base], classes) for base in bases if base in classes and classes[base] is not cls)


def test_no_broad_except():
    """A bug is not a user's mistake. Only the outermost frame of the command line may catch everything, and the one
    around trackers: the code in there is somebody else's and must not end a training. The tokenizers package raises
    bare exceptions for a file that is none."""
    broad = {"", "Exception", "BaseException"}
    found = (
        m.at(n)
        for m, n in walk(ast.ExceptHandler)
        if (ast.unparse(n.type) if n.type else "") in broad
        and m.name not in {"cli.main", "runs.trackers", "data.tokenizer"}
    )
    assert_none(found)


def test_no_ladders():
    """Two branches on the same word are a table that has not been written yet."""
    assert_none(f"{m.at(n)}: {subject}" for m, n, subject in ladders())


def ladders() -> Iterator[tuple[Module, ast.AST, str]]:
    """if/elif chains, consecutive ifs, nested conditional expressions and matches that compare one subject to words."""
    for module in modules():
        for node in ast.walk(module.tree):
            following = [child for field in ("body", "orelse") for child in _list(getattr(node, field, []))]
            subjects = [compared(child.test) for child in following if isinstance(child, ast.If)]
            if isinstance(node, ast.If | ast.IfExp):
                subjects.append(compared(node.test))
                if isinstance(node, ast.IfExp) and isinstance(node.orelse, ast.IfExp):
                    subjects.append(compared(node.orelse.test))
            if isinstance(node, ast.Match):
                words = [c for c in node.cases if isinstance(c.pattern, ast.MatchValue) and _is_word(c.pattern.value)]
                subjects += [ast.unparse(node.subject)] * len(words)
            repeated = {s for s in subjects if s and subjects.count(s) > 1}
            yield from ((module, node, subject) for subject in repeated)


def compared(test: ast.expr) -> str:
    """The subject of ``subject == "word"``, else ''."""
    words = isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Eq) and _is_word(test.comparators[0])
    return ast.unparse(test.left) if words else ""


def _is_word(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _list(value: object) -> list[ast.AST]:
    return value if isinstance(value, list) else []


def test_every_public_name_has_a_docstring():
    """Modules, classes, functions and methods. A method that a protocol documents need not repeat it."""
    documented = {
        method.name
        for _, cls in walk(ast.ClassDef)
        if any(ast.unparse(base).startswith("Protocol") for base in cls.bases)
        for method in cls.body
        if isinstance(method, FUNCTION)
    } | {"forward", "backward", "extra_repr"}
    assert_none(_undocumented(documented))


def _undocumented(documented: set[str]) -> Iterator[str]:
    for module in modules():
        if not ast.get_docstring(module.tree):
            yield f"{module.at(module.tree)}: the module"
        yield from _undocumented_in(module, module.tree, "", documented)


def _undocumented_in(module: Module, parent: ast.AST, path: str, documented: set[str]) -> Iterator[str]:
    for node in getattr(parent, "body", []):
        if not isinstance(node, FUNCTION | ast.ClassDef) or node.name.startswith("_"):
            continue
        inherited = (path and node.name in documented) or is_overload(node)
        if not inherited and not ast.get_docstring(node):
            yield f"{module.at(node)}: {path}{node.name}"
        if isinstance(node, ast.ClassDef):
            yield from _undocumented_in(module, node, f"{node.name}.", documented)


def is_overload(node: ast.AST) -> bool:
    """Typing overloads and property setters, whose documentation is that of the name's main definition."""
    return any(ast.unparse(d).endswith(("overload", ".setter")) for d in getattr(node, "decorator_list", []))
