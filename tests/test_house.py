"""The house's own rules: imports run one way, jitted functions keep to their file, files stay short."""

from __future__ import annotations

import ast
import builtins
import hashlib
import inspect
import re
import subprocess
from pathlib import Path

import pytest

import sde_si
from sde_si import LOSSES, METHODS, NOISES
from sde_si.jit import Jitted, python_function
from sde_si.run import _LOOP

ROOT = Path(sde_si.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# Each layer may import itself and those before it.
LAYERS = [
    {"compiled", "errors", "jit", "machine", "provenance", "quantities", "series", "streams"},
    {"hyperparameters"},
    {"schedules", "losses", "noises", "methods"},
    {"problem"},
    {"run"},
    {"resolve"},
    {"disk", "pcg64", "pointers", "rows", "angles", "kernel", "record"},
    {"theory"},
    {"segments"},
    {"wide"},
    {"block"},
    {"engine"},
    {"estimators", "regimes", "style"},
    {"comparison"},
    {"figures", "terminal", "options", "catalogue"},
    {"simulate"},
    {"sphere"},
    {"verify", "sweep"},
    {"audit"},
    {"monitor"},
    {"tune"},
    {"show", "testing", "__main__", "__init__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> set[tuple[str, bool]]:
    """Rooms that a file imports, and whether only for types or inside a function."""
    found = set()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        modules = []
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("sde_si"):
            modules = [node.module] if node.module != "sde_si" else [f"sde_si.{name.name}" for name in node.names]
        elif isinstance(node, ast.Import):
            modules = [name.name for name in node.names if name.name.startswith("sde_si")]
        deferred = node not in tree.body
        found |= {(module.split(".")[1] if "." in module else "__init__", deferred) for module in modules}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path):
    here = room(path)
    assert here in LEVEL, f"{here} has no layer: name it in LAYERS"
    for other, deferred in imports(path):
        if other in LEVEL and other != here and not deferred:
            assert LEVEL[other] <= LEVEL[here], f"{here} imports {other}"


# Rooms of `validation` (folders), each with the others that it may import.
BESIDE = {
    "data": set(),
    "networks": set(),
    "train": {"data", "networks"},
    "compare": {"train"},
    "experiments": {"data", "networks", "train"},
    "benchmarks": {"data", "networks", "train"},
    "reliability": set(),
}


@pytest.mark.parametrize("room", sorted(BESIDE))
def test_rooms_of_validation_import_one_way(room):
    folder = ROOT.parent / "validation"
    rooms = {path.name for path in folder.iterdir() if (path / "__init__.py").exists()}
    assert rooms == set(BESIDE), "name a new room in BESIDE"
    text = "\n".join(path.read_text() for path in (folder / room).rglob("*.py"))
    named = set(re.findall(r"^\s*(?:from|import) validation\.(\w+)", text, re.MULTILINE)) & rooms
    assert named <= BESIDE[room] | {room}
    assert "paper_figs" not in set(re.findall(r"^\s*(?:from|import) (\w+)", text, re.MULTILINE))


def test_the_package_knows_nothing_of_validation():
    outside = re.compile(r"^\s*(from|import) (validation|paper_figs)", re.MULTILINE)
    assert not [path for path in FILES if outside.search(path.read_text())]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_short(path):
    assert len(path.read_text().splitlines()) <= 360


def jitted_functions():
    """Every function that numba compiles with a disk cache."""
    for path in FILES:
        tree = ast.parse(path.read_text())
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and any("jit" in ast.unparse(d) for d in node.decorator_list):
                yield pytest.param(path, node, id=f"{path.stem}.{node.name}")


@pytest.mark.parametrize(("path", "node"), list(jitted_functions()))
def test_a_cached_jitted_function_uses_only_names_of_its_own_file(path, node):
    """Numba stamps a cached function with its own file: what comes from elsewhere would go stale unseen."""
    tree = ast.parse(path.read_text())
    own = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    own |= {t.id for n in tree.body if isinstance(n, ast.Assign) for target in n.targets for t in ast.walk(target)
            if isinstance(t, ast.Name)}  # fmt: skip
    if "_CODEGEN" in own:  # the stamp that every edit of the others changes: the next test holds it
        own |= {n.target.id for n in tree.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
        own |= {name.asname or name.name for n in tree.body if isinstance(n, ast.ImportFrom) for name in n.names
                if n.module in CODEGEN}  # fmt: skip
    local = {a.arg for a in node.args.args} | {
        n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    used = {
        n.id for body in node.body for n in ast.walk(body) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
    }
    assert used <= own | local | set(dir(builtins)) | {"np"}


CODEGEN = {"sde_si.jit", "sde_si.methods.base", "sde_si.pcg64", "sde_si.pointers", "sde_si.rows"}


@pytest.mark.parametrize("name", ["kernel", "noises", "segments"])
def test_what_is_compiled_into_other_files_stamps_them(name):
    """Whoever edits one of `CODEGEN` or the tables must edit these too: only then does numba compile them again."""
    files = [ROOT / f"{module.removeprefix('sde_si.').replace('.', '/')}.py" for module in sorted(CODEGEN)]
    stamp = hashlib.sha256(b"".join(file.read_bytes() for file in [*files, ROOT / "ziggurat.npy"])).hexdigest()[:16]
    assert f'_CODEGEN = "{stamp}"' in (ROOT / f"{name}.py").read_text()


def test_views_are_of_arguments():
    """A view has no share in its memory: the caller of a compiled function must hold it."""
    for name in ("kernel", "segments"):
        for function in (
            n for n in ast.parse((ROOT / f"{name}.py").read_text()).body if isinstance(n, ast.FunctionDef)
        ):
            arguments = {a.arg for a in function.args.args}
            for call in (n for n in ast.walk(function) if isinstance(n, ast.Call) and ast.unparse(n.func) == "view"):
                assert ast.unparse(call.args[0]) in arguments
            views = [n for n in ast.walk(function) if isinstance(n, ast.Assign) and "view(" in ast.unparse(n.value)]
            rebound = {t.id for n in ast.walk(function) if isinstance(n, ast.Assign) and n not in views
                       for target in n.targets for t in ast.walk(target)
                       if isinstance(t, ast.Name) and isinstance(t.ctx, ast.Store)}  # fmt: skip
            assert not rebound & arguments


def test_the_digest_covers_what_decides_numbers():
    """Every file that the engine imports is hashed into a run's digest, or decides no number."""
    nothing = {"compiled", "errors", "machine", "record", "quantities", "series", "provenance", "estimators", "regimes"}
    apart = {"hyperparameters", "run", "problem"}  # in the configuration, value by value
    seen, todo = set(), ["engine"]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        path = ROOT / f"{name}.py"
        if path.exists():
            todo += [module.removeprefix("sde_si.").replace(".", "/") for module, _ in imports(path)]
    missing = seen - set(_LOOP) - nothing - apart
    assert missing <= {"losses", "methods", "schedules", "noises"}  # the run's own functions, by `Run.sources`


@pytest.mark.parametrize(
    "function",
    [f for loss in LOSSES.values() for f in (loss.gradient, loss.noise, loss.minibatch) if f is not None]
    + [s.step for m in METHODS.values() for s in (m.plain, m.heavy) if s]
    + [n.fill for n in NOISES.values() if n.fill],
)
def test_registry_functions_are_jitted_and_documented(function):
    assert isinstance(function, Jitted)
    assert inspect.getdoc(python_function(function))


@pytest.mark.parametrize("entry", [*LOSSES.values(), *METHODS.values(), *NOISES.values()], ids=lambda e: e.name)
def test_registry_entries_say_what_they_are(entry):
    assert entry.summary
    if hasattr(entry, "source"):
        assert "theory.md" in entry.source


def public_callables():
    for path in FILES:
        tree = ast.parse(path.read_text())
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
        for node in [*tree.body, *(inner for one in classes for inner in one.body)]:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                yield pytest.param(node, id=f"{path.stem}.{node.name}")


@pytest.mark.parametrize("node", list(public_callables()))
def test_everything_public_is_documented(node):
    assert ast.get_docstring(node), node.name


THEORY = (ROOT.parent / "docs" / "theory.md").read_text() if (ROOT.parent / "docs" / "theory.md").exists() else ""


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_cited_sections_of_the_theory_exist(path):
    cited = set()
    for match in re.finditer(r"theory\.md ((?:\d+\.\d+[a-z]?(?:, | and )?)+)", path.read_text()):
        cited |= set(re.findall(r"\d+\.\d+", match.group(1)))
    missing = {section for section in cited if not re.search(rf"^(?:#+ )?{re.escape(section)}\s", THEORY, re.MULTILINE)}
    assert not missing


def test_the_top_level_holds_nothing_else():
    """A record or a picture that a command left there is no part of the project."""
    root = ROOT.parent
    if not (root / ".git").exists():
        pytest.skip("no git repository")
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout
    found = {name.partition("/")[0] for name in listed.splitlines()}
    assert found <= {
        "pyproject.toml", "README.md", "Makefile", "constraints.txt", "LICENSE", "CITATION.cff", "CHANGELOG.md",
        "sde_si", "validation", "tests", "paper_figs", "docs", ".ci", ".gitignore",
    }  # fmt: skip
