"""The three labels of a text, in the order used by models, shards and tables."""

LABELS = ("recommends", "does_not_recommend", "no_clear_opinion")
