"""One package per stage. Importing this list imports neither Spark nor a stage."""

STAGE_SUMMARIES = {
    "ingest": "Read new files and database rows into bronze.",
    "clean": "Type, standardise and validate bronze records into silver; quarantine the rest.",
    "resolve": "Link the records of a person over all systems to one customer.",
    "featurise": "Compute customer features as of a date.",
    "segment": "Group customers by recency, frequency and value (KMeans).",
    "predict": "Predict churn and expected revenue.",
    "recommend": "Choose products to offer to each customer.",
    "shard": "Write labelled texts as Parquet shards for training.",
    "train": "Fine-tune the text model on the shards.",
    "score": "Predict labels of texts with the model in production.",
    "decide": "Choose the next best action for each customer.",
    "monitor": "Measure the customer base, drift and the information gap.",
    "report": "Write the report.",
}
"""The stages of a refresh, in order, with the summary of each command."""
STAGES = tuple(STAGE_SUMMARIES)
ON_REQUEST_SUMMARIES = {
    "replay": "Validate quarantined rows again under the current rules, and release those that pass.",
}
"""Stages that a refresh leaves out."""
