"""Customer intelligence on Spark: from scattered customer data to one governed table and a measured next action."""

__version__ = "0.1.0"
