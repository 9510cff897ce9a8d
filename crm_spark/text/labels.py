"""The three verdicts, in the order every model, shard and table has them."""

LABELS = ("recommends", "does_not_recommend", "no_clear_opinion")
