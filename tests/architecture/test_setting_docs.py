"""Every setting has a docstring: the generated reference shows it."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "crm_spark"
BASES = {"Config", "BaseModel"}


def config_classes(paths):
    """(file, class definition) of every pydantic model, with indirect subclasses."""
    classes = [(path, node) for path in paths for node in ast.walk(ast.parse(path.read_text())) if is_class(node)]
    names, size = set(BASES), 0
    while len(names) > size:
        size = len(names)
        names |= {
            node.name for _, node in classes if any(ast.unparse(base).split(".")[-1] in names for base in node.bases)
        }
    return [(path, node) for path, node in classes if node.name in names]


def is_class(node):
    return isinstance(node, ast.ClassDef)


def is_text(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def undocumented_settings(paths):
    return [
        f"{path.name}: {node.name}.{statement.target.id}"
        for path, node in config_classes(paths)
        for statement, after in zip(node.body, [*node.body[1:], None])
        if isinstance(statement, ast.AnnAssign) and not is_text(after)
    ]


def test_every_setting_has_a_docstring():
    paths = sorted(PACKAGE.rglob("*.py"))
    names = {node.name for _, node in config_classes(paths)}
    assert {"Settings", "CompanyConfig", "SessionConfig", "TrainConfig", "Source", "Rule", "WorldSpec"} <= names
    assert undocumented_settings(paths) == []


def test_a_setting_without_a_docstring_is_reported(tmp_path):
    path = tmp_path / "config.py"
    path.write_text(
        "class Base(Config):\n    size: int = 1\n    '''Number of rows.'''\n"
        "class Inner(Base):\n    first: int = 1\n    last: int = 2\n    '''Last row.'''\n    rest: int = 3\n"
        "class Other:\n    size: int = 1\n"
    )
    assert undocumented_settings([path]) == ["config.py: Inner.first", "config.py: Inner.rest"]
