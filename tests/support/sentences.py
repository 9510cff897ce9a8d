"""The sentences in the code of the report, as templates: `{}` stands for what is inserted."""

import ast
import re
from pathlib import Path

REPORT = Path(__file__).resolve().parents[2] / "crm_spark" / "stages" / "report"
_MODULES = (
    *("findings", "missing", "panels", "customers_panel", "quality_panel"),
    *("predictions_panel", "text_model_panel", "topics_panel"),
)
_MIN_WORDS = 3


def _templates_of(tree):
    """Templates of string literals and f-strings outside docstrings, each with the nodes that it contains."""
    docstrings = {
        id(node.value)
        for parent in ast.walk(tree)
        if isinstance(parent, ast.Module | ast.FunctionDef | ast.ClassDef)
        for node in parent.body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    parts = {id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(v.value if isinstance(v, ast.Constant) else "{}" for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings | parts:
            yield node.value


def num_words(template):
    return len(re.findall(r"[A-Za-z]{2,}", template.replace("{}", " ")))


def templates():
    """Every template of at least three words in the modules and the page of the report."""
    found = set()
    for module in _MODULES:
        found |= set(_templates_of(ast.parse((REPORT / f"{module}.py").read_text())))
    page = (REPORT / "page" / "report.html.j2").read_text()
    found |= {re.sub(r"\{\{.*?\}\}", "{}", text) for text in re.findall(r"<p[^>]*>([^<]*)</p>", page)}
    return {t.strip() for t in found if " " in t.strip() and num_words(t) >= _MIN_WORDS}


def pattern(template):
    """Regular expression of the texts that a template can make."""
    pieces = re.split(r"(\{\})", template)
    return re.compile("".join(".*?" if piece == "{}" else re.escape(piece) for piece in pieces))
