"""The digest of a stage's code changes with what the stage runs, and with nothing else."""

import sys

import pytest

from crm_spark.pipeline import source_digest as module


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of three packages; returns a function that writes a module and computes the digest of `one`."""
    root = tmp_path / "toy_project"
    for name in ("one", "two", "three"):
        (root / name).mkdir(parents=True)
        (root / name / "__init__.py").touch()
    (root / "__init__.py").touch()
    (root / "one" / "page").mkdir()
    (root / "one" / "page" / "style.css").write_text("a {}")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(module, "_PROJECT", "toy_project")

    def digest(**sources):
        for name, text in sources.items():
            (root / name / "code.py").write_text(text)
        for function in (module._file, module._tree, module._imports, module._normalised):
            function.cache_clear()
        for name in [name for name in sys.modules if name.startswith("toy_project")]:
            del sys.modules[name]
        return module.source_digest("toy_project.one")

    digest(
        one="def f():\n    from toy_project.two.code import g\n    return g()\n",
        two="def g():\n    return 1\n",
        three="X = 1\n",
    )
    return digest


def test_change_in_the_package_changes_the_digest(project):
    assert project() != project(one="def f():\n    return 2\n")


def test_change_in_a_module_imported_inside_a_function_changes_the_digest(project):
    assert project() != project(two="def g():\n    return 2\n")


def test_change_in_a_data_file_changes_the_digest(project, tmp_path):
    before = project()
    (tmp_path / "toy_project" / "one" / "page" / "style.css").write_text("b {}")
    assert project() != before


def test_module_that_is_not_imported_does_not_change_the_digest(project):
    assert project() == project(three="X = 2\n")


def test_comments_docstrings_and_layout_do_not_change_the_digest(project):
    assert project() == project(
        two='"""New."""\n\n\ndef g():\n    """Doc."""\n    # why\n    return (\n        1\n    )\n'
    )


def test_imports_for_type_checking_do_not_change_the_digest(project):
    one = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from toy_project.three.code import X\n"
    assert project(one=one, three="X = 1\n") == project(one=one, three="X = 3\n")


def test_the_digest_of_a_real_stage_includes_the_modules_it_shares_with_others():
    modules = module._closure(module._modules_in("crm_spark.stages.featurise"))
    assert {"crm_spark.stages.featurise.features", "crm_spark.contracts.gold", "crm_spark.core.tables.store"} <= modules
    assert not any(name.startswith("crm_spark.stages.train") for name in modules)
