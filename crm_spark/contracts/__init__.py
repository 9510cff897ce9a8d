"""The entities, one file per layer: what a row of each table means. Doubles as the data dictionary."""
