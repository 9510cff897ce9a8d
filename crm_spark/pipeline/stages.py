"""Finds a stage by name. Its module is imported when it is needed: each brings libraries of its own."""

import importlib

from crm_spark.core.stage import Stage

ON_REQUEST = {"replay": "clean.replay"}
"""Module of each stage that a refresh leaves out, below `crm_spark.stages`."""


def load_stage(name: str) -> Stage:
    """The declaration of a stage.

    Raises:
        TypeError: the module declares no stage of this name.
    """
    module = importlib.import_module(f"crm_spark.stages.{ON_REQUEST.get(name, f'{name}.stage')}")
    stage = getattr(module, "STAGE", None)
    if not isinstance(stage, Stage) or stage.name != name:
        raise TypeError(f"{module.__name__}: expected STAGE = Stage({name!r}, ...).")
    return stage
