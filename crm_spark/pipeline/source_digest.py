"""Digest of the code that a stage runs: its package and every project module that this imports.

Comments, docstrings and formatting do not count, so that editing them does not train a model again.
"""

import ast
import hashlib
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

_PROJECT = "crm_spark"


def source_digest(package: str) -> str:
    """SHA-256 (hex) over the modules of `package`, its data files, and all project modules they import, however deep."""
    modules = _closure(_modules_in(package))
    digest = hashlib.sha256()
    for name in sorted(modules):
        digest.update(f"{name}\0{_normalised(name)}\0".encode())
    for name, content in _data_files(package):
        digest.update(f"{name}\0".encode() + content + b"\0")
    return digest.hexdigest()


def _modules_in(package: str) -> set[str]:
    return {f"{package}.{each.name.removesuffix('.py')}" for each in _folder(package).iterdir() if _is_code(each)}


def _is_code(entry: Traversable) -> bool:
    return entry.name.endswith(".py")


def _data_files(package: str) -> list[tuple[str, bytes]]:
    folders = [each for each in _folder(package).iterdir() if each.is_dir() and each.name != "__pycache__"]
    files = [(f"{folder.name}/{each.name}", each) for folder in folders for each in folder.iterdir() if each.is_file()]
    return sorted((name, each.read_bytes()) for name, each in files)


def _folder(package: str) -> Traversable:
    # Found by path: `importlib.util.find_spec` would import the parents, and with them PyTorch.
    root = files(_PROJECT)
    return root.joinpath(*package.split(".")[1:]) if "." in package else root


def _closure(modules: set[str]) -> set[str]:
    known, pending = set(), list(modules)
    while pending:
        name = pending.pop()
        if name not in known and _file(name) is not None:
            known.add(name)
            pending.extend(_imports(name))
    return known


@cache
def _file(name: str) -> Traversable | None:
    """The source file of a module or package; None if `name` is neither."""
    folder, _, last = name.rpartition(".")
    candidates = (_folder(name).joinpath("__init__.py"), _folder(folder).joinpath(f"{last}.py") if folder else None)
    return next((each for each in candidates if each is not None and each.is_file()), None)


@cache
def _tree(name: str) -> ast.Module:
    source = _file(name)
    return ast.parse(source.read_text(encoding="utf-8") if source else "")


@cache
def _imports(name: str) -> frozenset[str]:
    """Project modules that a module imports, at its top or inside a function; type-checking blocks do not run."""
    names: set[str] = set()
    for node in _running_nodes(_tree(name)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(each for each in names if each.split(".")[0] == _PROJECT)


def _running_nodes(tree: ast.AST) -> list[ast.AST]:
    nodes: list[ast.AST] = []
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        nodes += [child, *_running_nodes(child)]
    return nodes


@cache
def _normalised(name: str) -> str:
    tree = _tree(name)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            # A string on its own is a docstring, of a module, class, function or attribute.
            statements = [
                each for each in body if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
            ]
            node.body = statements or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.unparse(tree)
