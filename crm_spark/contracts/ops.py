"""Ops: what came in, what became of it, what ran, how good it was. Codes and pointers, never a customer's value."""

from crm_spark.contracts.types import DATE, DOUBLE, LONG, STRING, STRINGS, TIMESTAMP
from crm_spark.core.contract import TableContract, optional, required

DELIVERY = TableContract(
    name="ops.delivery",
    grain=("source", "file_sha256", "batch_id"),
    doc="A file (or JDBC extract) that arrived: what it was and what ingest did with it.",
    columns=(
        required("source", STRING, "Source system's configuration."),
        required("file", STRING, "Name below the source's folder."),
        required("file_sha256", STRING, "Digest of its bytes."),
        required("num_bytes", LONG, "Size."),
        required(
            "modified_at", TIMESTAMP, "The file system's time of change; with the size it saves reading the file again."
        ),
        required("num_rows", LONG, "Records read from it into bronze."),
        required("batch_id", STRING, "The batch it became part of."),
        required(
            "status",
            STRING,
            "planned, ingested, skipped (same bytes as before), refused, or withdrawn: planned, and changed before it was read.",
        ),
        optional("reason", STRING, "Reason code of a blocked or skip; new_column where an ingested file brought one."),
        optional("columns", STRINGS, "Columns that its records carry, as bronze spells them."),
        optional("watermark", STRING, "Highest value of a JDBC watermark column."),
        required("arrived_at", TIMESTAMP, "Ingest time."),
    ),
)
QUARANTINE = TableContract(
    name="ops.quarantine",
    grain=("row_id", "entity"),
    doc="A bronze record that is not in silver, why, and where it stands. No value of it is copied.",
    columns=(
        required("row_id", STRING, "The bronze record."),
        required("source", STRING, "Source system's configuration."),
        required("entity", STRING, "The entity it was to become."),
        required("batch_id", STRING, "The delivery it came in."),
        required("file", STRING, "File it stands in."),
        required("position", LONG, "Record number in the file."),
        required("status", STRING, "quarantined, duplicate, or released: in silver since a replay."),
        required("reasons", STRINGS, "Reason codes, every rule that failed."),
        required("rules_version", STRING, "Digest of the mapping and rules that judged it."),
    ),
)
SUPERSEDED = TableContract(
    name="ops.superseded",
    grain=("row_id", "entity"),
    doc="A bronze record that was accepted and whose place in silver another took since: accepted = in silver + superseded.",
    columns=(
        required("row_id", STRING, "The bronze record that stood in silver."),
        required("source", STRING, "Source system's configuration it came through."),
        required("entity", STRING, "The entity it had become."),
        required("batch_id", STRING, "The delivery it came in."),
        required("by_row_id", STRING, "The bronze record that stands for its key since."),
        required("by_source", STRING, "Source system's configuration of that one."),
        required("by_batch_id", STRING, "The delivery of that one."),
    ),
)
RECONCILIATION = TableContract(
    name="ops.reconciliation",
    grain=("source", "entity", "batch_id"),
    doc="Conservation: for each delivery and entity, rows in = accepted + quarantined + duplicates, exactly.",
    columns=(
        required("source", STRING, "Source system's configuration."),
        required("entity", STRING, "The entity."),
        required("batch_id", STRING, "The delivery."),
        required("num_in", LONG, "Bronze records that carry the entity."),
        required("num_accepted", LONG, "In silver, or superseded there since."),
        required("num_quarantined", LONG, "In ops.quarantine with reasons."),
        required(
            "num_duplicate", LONG, "Declared duplicates: exact repeats, older versions, rows folded into one key."
        ),
        optional("last_event_at", TIMESTAMP, "Newest event time among the accepted."),
    ),
)
FINDING = TableContract(
    name="ops.finding",
    grain=("source", "entity", "batch_id", "code", "column"),
    doc="How many rows of a delivery each rule, conversion or expectation found something in, and where one of them stands.",
    columns=(
        required("source", STRING, "Source system's configuration."),
        required("entity", STRING, "The entity."),
        required("batch_id", STRING, "The delivery."),
        required("code", STRING, "Reason code."),
        required("column", STRING, "The column it is about; *: the row, or the delivery, as a whole."),
        required("severity", STRING, "nulled, warn, quarantine or block."),
        required("num_rows", LONG, "Rows it was found in."),
        optional("file", STRING, "File in which an example stands."),
        optional("position", LONG, "Record number of the example."),
        required("rules_version", STRING, "Digest of the rules that judged."),
    ),
)
RELEASE = TableContract(
    name="ops.release",
    grain=("row_id", "entity"),
    doc="A row that a replay let out of the quarantine: once, by whom, under which rules.",
    columns=(
        required("row_id", STRING, "The bronze record."),
        required("source", STRING, "Source system's configuration."),
        required("entity", STRING, "The entity it became."),
        required("batch_id", STRING, "The delivery it came in."),
        required("outcome", STRING, "accepted, or duplicate: silver knew it already."),
        optional("duplicate_reason", STRING, "Why it is a duplicate."),
        required("reasons", STRINGS, "Reason codes for which it had been set aside."),
        required("rules_version_before", STRING, "Digest of the rules that set it aside."),
        required("rules_version", STRING, "Digest of the rules that released it."),
        required("release_id", STRING, "The rows that left together."),
        required("released_by", STRING, "Who ran the replay."),
        required("run_id", STRING, "The run."),
        required("released_at", TIMESTAMP, "When."),
    ),
)
RUN = TableContract(
    name="ops.run",
    grain=("run_id", "stage"),
    doc="A stage that ran: on which inputs, how long, with what result.",
    columns=(
        required("run_id", STRING, "The run."),
        required("stage", STRING, "The stage."),
        optional("as_of", DATE, "Logical date, where the stage has one."),
        required("fingerprint", STRING, "Digest of inputs, configuration and code version."),
        required("status", STRING, "done, or skipped: the company has nothing for it to work on."),
        required("num_rows", LONG, "Rows written."),
        required("seconds", DOUBLE, "Wall time."),
        optional("note", STRING, "What the stage has to say: why it skipped, which backend it chose."),
        required("ended_at", TIMESTAMP, "When it ended."),
    ),
)
METRIC = TableContract(
    name="ops.metric",
    grain=("metric", "stage", "slice", "model", "as_of"),
    doc="A measured figure: how good a model is and its baseline beside it, how the business stands.",
    columns=(
        required(
            "metric", STRING, "What is measured: auc, macro_f1, cross_entropy_bits, mean_absolute_error, hit_rate ..."
        ),
        required("stage", STRING, "The stage that measured it."),
        required("slice", STRING, "all, or `dimension=value`."),
        required(
            "model", STRING, "The model, or the baseline (class_prior, last_value, recency, popularity, tfidf_lr ...)."
        ),
        required("as_of", DATE, "Logical date of the run."),
        required("value", DOUBLE, "The figure."),
        required("unit", STRING, "fraction, bits, days, rows, or an ISO currency code."),
        required("num_rows", LONG, "Rows it was measured on."),
        required("is_baseline", LONG, "1 where the model is the baseline."),
    ),
)
DRIFT = TableContract(
    name="ops.drift",
    grain=("feature", "as_of"),
    doc="How far a feature's distribution moved since the snapshot before (PSI, ten bins of the earlier one).",
    columns=(
        required("feature", STRING, "Feature."),
        required("as_of", DATE, "The later snapshot."),
        required("reference_as_of", DATE, "The earlier snapshot."),
        required("psi", DOUBLE, "Population stability index."),
        required("threshold", DOUBLE, "Above it the change is more than noise at these sizes."),
        required("num_rows", LONG, "Customers compared, later snapshot."),
    ),
)

TABLES = (DELIVERY, QUARANTINE, SUPERSEDED, RECONCILIATION, FINDING, RELEASE, RUN, METRIC, DRIFT)
