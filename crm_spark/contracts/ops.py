"""Contracts of the `ops` layer: deliveries, row reconciliation, quarantine, runs and metrics.

Holds reason codes and pointers to bronze only, never customer values.
"""

from crm_spark.contracts.types import DATE, DOUBLE, INT, LONG, STRING, STRINGS, TIMESTAMP
from crm_spark.core.contract import TableContract, optional, required

DELIVERY = TableContract(
    name="ops.delivery",
    grain=("source", "file_sha256", "batch_id"),
    doc="Status of each file or JDBC extract seen by ingest.",
    columns=(
        required("source", STRING, "Name of the source configuration."),
        required("file", STRING, "File name relative to the data folder, or JDBC table name."),
        required("file_sha256", STRING, "SHA-256 of the file's bytes, or of the extract's rows."),
        required("num_bytes", LONG, "File size in bytes."),
        required("modified_at", TIMESTAMP, "Modification time; with the size, used to detect unchanged files."),
        required("num_rows", LONG, "Number of records written to bronze."),
        required("batch_id", STRING, "Batch the file belongs to."),
        required(
            "status",
            STRING,
            "planned, ingested, skipped (same content as an earlier file), rejected, or withdrawn (a file of the batch changed "
            "or cannot be read).",
            former_name="fate",
        ),
        optional(
            "reason", STRING, "Reason code of a rejected or skipped file; `new_column` if an ingested file added one."
        ),
        optional("position", STRING, "Where a rejected file cannot be read: byte, line, element or column."),
        optional("hint", STRING, "What to do about a rejected file."),
        optional("num_replaced", LONG, "Invalid byte sequences replaced by U+FFFD (`errors: replace`)."),
        optional("columns", STRINGS, "Column names of its records, as encoded in bronze."),
        optional("watermark", STRING, "Highest value of the JDBC watermark column."),
        required("arrived_at", TIMESTAMP, "Ingest time (UTC)."),
    ),
)
QUARANTINE = TableContract(
    name="ops.quarantine",
    grain=("row_id", "entity"),
    doc="Quarantined records, duplicates and released records of bronze, with reason codes and position. `same_key` duplicates "
    "are only counted in ops.reconciliation.",
    columns=(
        required("row_id", STRING, "Id of the bronze record."),
        required("source", STRING, "Name of the source configuration."),
        required("entity", STRING, "Target entity.", former_name="noun"),
        required("batch_id", STRING, "Delivery that contained the record."),
        required("file", STRING, "File that contains the record."),
        required("position", LONG, "Record number in its block of the file."),
        required(
            "status", STRING, "quarantined, duplicate, or released (moved to silver by a replay).", former_name="fate"
        ),
        required("reasons", STRINGS, "Reason codes of all failed rules."),
        required("rules_version", STRING, "Digest of the rules that were applied."),
    ),
)
SUPERSEDED = TableContract(
    name="ops.superseded",
    grain=("row_id", "entity"),
    doc="Accepted records later replaced in silver by a newer record of the same key: accepted = in silver + superseded.",
    columns=(
        required("row_id", STRING, "Bronze record that was replaced."),
        required("source", STRING, "Name of its source configuration."),
        required("entity", STRING, "Entity of the record.", former_name="noun"),
        required("batch_id", STRING, "Delivery that contained the record."),
        required("by_row_id", STRING, "Bronze record that replaced it."),
        required("by_source", STRING, "Source configuration of the replacing record."),
        required("by_batch_id", STRING, "Delivery of the replacing record."),
    ),
)
RECONCILIATION = TableContract(
    name="ops.reconciliation",
    former_name="ops.batch_fate",
    grain=("source", "entity", "batch_id"),
    doc="Row reconciliation of each delivery and entity: rows in = accepted + quarantined + duplicates.",
    columns=(
        required("source", STRING, "Name of the source configuration."),
        required("entity", STRING, "Target entity.", former_name="noun"),
        required("batch_id", STRING, "Delivery."),
        required("num_in", LONG, "Number of bronze records mapped to the entity."),
        required("num_accepted", LONG, "Rows written to silver, including those superseded later."),
        required("num_quarantined", LONG, "Quarantined rows."),
        required(
            "num_duplicate",
            LONG,
            "Duplicate rows: identical, older, or another line of the same key.",
        ),
        optional("last_event_at", TIMESTAMP, "Latest event time of the accepted rows."),
        optional(
            "reading_version",
            INT,
            "Version of the cell conversion; null means 1 (not recorded then).",
        ),
    ),
)
FINDING = TableContract(
    name="ops.finding",
    grain=("source", "entity", "batch_id", "code", "column"),
    doc="Number of rows of a delivery that violate each rule, conversion or expectation, with the position of one example.",
    columns=(
        required("source", STRING, "Name of the source configuration."),
        required("entity", STRING, "Target entity.", former_name="noun"),
        required("batch_id", STRING, "Delivery."),
        required("code", STRING, "Reason code."),
        required("column", STRING, "Affected column; `*` for the whole row or delivery."),
        required("severity", STRING, "`info`, `nulled`, `warn`, `quarantine` or `block`."),
        required("num_rows", LONG, "Number of affected rows."),
        optional("file", STRING, "File of one example."),
        optional("position", LONG, "Record number of the example."),
        required("rules_version", STRING, "Digest of the rules that were applied."),
    ),
)
RELEASE = TableContract(
    name="ops.release",
    grain=("row_id", "entity"),
    doc="Audit log of rows released from quarantine by a replay; each row is released once.",
    columns=(
        required("row_id", STRING, "Id of the bronze record."),
        required("source", STRING, "Name of the source configuration."),
        required("entity", STRING, "Entity of the released row.", former_name="noun"),
        required("batch_id", STRING, "Delivery that contained the record."),
        required("outcome", STRING, "`accepted`, or `duplicate` if silver already had the record."),
        optional("duplicate_reason", STRING, "Reason code of a duplicate."),
        required("reasons", STRINGS, "Reason codes of the former quarantine."),
        required("rules_version_before", STRING, "Digest of the rules that quarantined the row."),
        required("rules_version", STRING, "Digest of the rules that released the row."),
        required("release_id", STRING, "Id shared by all rows released together."),
        required("released_by", STRING, "User who ran the replay."),
        required("run_id", STRING, "Run id."),
        required("released_at", TIMESTAMP, "Release time (UTC)."),
    ),
)
RUN = TableContract(
    name="ops.run",
    grain=("run_id", "stage"),
    doc="Stage runs: inputs, duration and result.",
    columns=(
        required("run_id", STRING, "Run id."),
        required("stage", STRING, "Stage name."),
        optional("as_of", DATE, "Logical date; null for stages without one."),
        required("fingerprint", STRING, "Digest of inputs, configuration and code version."),
        required("status", STRING, "`done`, or `skipped` if there is no input for the stage."),
        required("num_rows", LONG, "Number of rows written."),
        required("seconds", DOUBLE, "Wall-clock time in seconds."),
        optional("note", STRING, "Details, such as the reason for skipping or the backend used."),
        required("ended_at", TIMESTAMP, "End time (UTC)."),
    ),
)
METRIC = TableContract(
    name="ops.metric",
    grain=("metric", "stage", "slice", "model", "as_of"),
    doc="Model quality metrics with their baselines, and business figures.",
    columns=(
        required("metric", STRING, "Metric name: auc, macro_f1, cross_entropy_bits, mean_absolute_error, hit_rate ..."),
        required("stage", STRING, "Stage that computed the metric."),
        required("slice", STRING, "`all`, or `dimension=value`."),
        required("model", STRING, "Model, or baseline (class_prior, last_value, recency, popularity, tfidf_lr ...)."),
        required("as_of", DATE, "Logical date of the run."),
        required("value", DOUBLE, "Metric value."),
        required("unit", STRING, "fraction, bits, days, rows, or an ISO currency code."),
        required("num_rows", LONG, "Number of rows evaluated."),
        required("is_baseline", LONG, "1 if `model` is a baseline, else 0."),
    ),
)
DRIFT = TableContract(
    name="ops.drift",
    grain=("feature", "as_of"),
    doc="Drift of each feature since the previous snapshot (PSI over ten bins of the earlier snapshot).",
    columns=(
        required("feature", STRING, "Feature name."),
        required("as_of", DATE, "Current snapshot date."),
        required("reference_as_of", DATE, "Reference snapshot date."),
        required("psi", DOUBLE, "Population stability index."),
        required("threshold", DOUBLE, "PSI above this value is more than sampling noise for these sample sizes."),
        required("num_rows", LONG, "Number of customers in the current snapshot."),
    ),
)

TABLES = (DELIVERY, QUARANTINE, SUPERSEDED, RECONCILIATION, FINDING, RELEASE, RUN, METRIC, DRIFT)
