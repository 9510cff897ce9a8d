"""Descriptions of reason codes and metrics for the generated reference; a test checks that they are complete."""

FILE_CODES = {
    "empty_file": ("The file has no bytes.", "Ask for a new copy."),
    "truncated_file": ("The compressed file ends too early.", "Ask for a new copy; wait until uploads are complete."),
    "damaged_file": ("The file cannot be decompressed or parsed.", "Ask for a new copy."),
    "not_readable": ("The file cannot be opened.", "Check permissions and links."),
    "wrong_encoding": (
        "Bytes are invalid in the configured encoding.",
        "Set `files.options.encoding` or `errors: replace`.",
    ),
    "nul_bytes": ("The file contains NUL bytes.", "Check the encoding (UTF-16?), or ask for a new copy."),
    "unterminated_quote": (
        "A quote is opened and not closed.",
        "Correct the file, or set `quote` (`''`: no quoting) and `escape`.",
    ),
    "too_large_unpacked": (
        "The file unpacks to far more than its size.",
        "Check it; raise `ingest.max_unpacked_ratio`.",
    ),
    "unsafe_member": ("An archive member has an unsafe path.", "Ask for a new archive."),
    "not_records": (
        "The JSON document contains something other than objects.",
        "Deliver an array of objects, or one object per line.",
    ),
    "no_header": ("No line of the file has the names in `table.header_contains`.", "Correct them."),
    "no_sheet": ("The workbook has no such sheet; the hint lists those it has.", "Set `table.sheet`."),
    "no_member": ("No member of the archive matches `files.path` behind the `!`.", "Correct the path."),
    "binary_column": (
        "A mapped Parquet column contains bytes that are not UTF-8 text.",
        "Write it as text, or remove it from the mapping.",
    ),
    "read_failed": (
        "The file is intact, and Spark cannot read it; the hint names Spark's error.",
        "Deliver it in another format; each run tries again.",
    ),
    "duplicate_column": ("Two columns have the same name.", "Rename one at the source."),
    "unusable_name": ("The file name has unsupported characters.", "Rename the file."),
    "leads_outside": ("A link leads out of the data folder.", "Copy the file into the data folder."),
    "same_bytes": ("The content was ingested before (status skipped).", "None."),
    "changed_since": ("The file changed after it was planned (status withdrawn).", "None; a later run reads it."),
    "new_column": ("The file was ingested and added a column.", "Map the column if it is useful."),
}
"""Reason code in ops.delivery -> meaning, remedy."""

ROW_CODES = {
    "malformed_record": ("The record could not be parsed.", "Check delimiter and quotes of the file."),
    "missing_required": ("A required column is null.", "Correct the source or the mapping."),
    "missing_column": ("The file lacks a mapped column.", "Correct the mapping, or list the column in `may_lack`."),
    "bad_date": ("Invalid date or time.", "Add the format to `formats`."),
    "bad_number": ("Invalid number.", "Check `decimal` of the source."),
    "bad_boolean": ("Neither an affirmative nor a negative value.", "Add the word to `affirmative` or `negative`."),
    "bad_value": ("The value cannot be converted.", "Correct the mapping."),
    "bad_email": ("Invalid e-mail address.", "Correct the source."),
    "bad_phone": ("Invalid phone number.", "Set the source's `country`; correct the source."),
    "bad_rating": ("Rating outside all `ranges`, or negative.", "Correct `ranges`."),
    "unknown_value": ("Value not listed in `map`.", "Add it to `map`, or set `otherwise`."),
    "unknown_currency": ("Currency without an exchange rate.", "Add it to `company.exchange_rates`."),
    "placeholder": ("Null marker, stored as null.", "None."),
    "possible_placeholder": (
        "A word that is a null marker and a name (Null, Na, None), kept as a name.",
        "If it is none, add it to `placeholders` of the column.",
    ),
    "repaired_cell": (
        "Invisible characters, a spreadsheet formula or the `.0` of an id were removed.",
        "None; or export ids as text.",
    ),
    "rounded_number": (
        "A spreadsheet shortened the id (1.23457E+12); its last digits are lost, and several ids may have become one.",
        "Export the column as text.",
    ),
    "other_currency": ("The amount names a currency other than the row's.", "Map `currency`, or set the source's."),
    "nonexistent_local_time": (
        "The clocks of the source's `time_zone` skipped this time; read as an hour later.",
        "Check `time_zone`; export times with their offset.",
    ),
    "ambiguous_local_time": (
        "The clocks of the source's `time_zone` showed this time twice; read as the first.",
        "Export times with their offset.",
    ),
    "conflicting_values": (
        "Records of one key and age disagree: of several sources, or with one_row_per_key.",
        "Check whether the key is complete.",
    ),
    "repeated_key": (
        "Another record of the same file has the same key and age, and other values; the last one is kept.",
        "Map a column that identifies a record as its key, or `updated_at`.",
    ),
    "mostly_quarantined": (
        "More than `clean.max_quarantined_fraction` of the delivery is quarantined; all of it is blocked.",
        "Correct the mapping, then replay.",
    ),
    "left_out": ("The record is none of the entity by `only` or `leave_out` of the feed; counted only.", "None."),
    "exact_duplicate": ("The same record again.", "None."),
    "superseded": ("An older version of a record: by `updated_at`, else by delivery.", "None."),
    "same_key": ("Another row of the same key (one_row_per_key); counted only.", "None."),
}
"""Reason code of conversion, validation and deduplication -> meaning, remedy."""

RULE_CODES = {
    "non_positive_price": "Price of zero or less.",
    "non_positive_quantity": "Non-positive quantity of a line that is not a return.",
    "future_date": "Date more than a day after the delivery.",
    "born_in_the_future": "Date of birth after the delivery.",
    "unknown_status": "Status that the entity does not define.",
    "unknown_kind": "Kind that the entity does not define.",
    "bad_rating": "Negative rating.",
    "unknown_order": "Order not found.",
    "unknown_product": "Product not found.",
    "unknown_location": "Location not found.",
    "unknown_subscription": "Subscription not found.",
    "unknown_period": "Billing period that the entity does not define.",
    "negative_price": "Price below zero.",
    "ended_before_start": "End before the start.",
    "delivered_before_order": "Delivery before the order.",
    "shipped_before_order": "Shipping before the order.",
    "many_unknown_subscriptions": "More than a fifth of the delivery's rows name a subscription that is not found.",
    "unknown_person": "Person not found in a system whose people are delivered.",
    "many_unknown_persons": "More than a fifth of the delivery's rows name a person that is not found.",
    "many_unknown_orders": "More than a fifth of the delivery's rows name an order that is not found.",
    "many_unknown_products": "More than a fifth of the delivery's rows name a product that is not found.",
    "unusually_few_rows": "Far fewer rows than in earlier deliveries.",
    "unusually_many_rows": "Far more rows than in earlier deliveries.",
}
"""Reason code of a rule or expectation in conf/quality -> meaning."""

DECISION_CODES = {
    "no_rule_applies": "No action is needed: the conditions of none hold.",
    "not_known": "No action is known to apply, but one might: a fact that it depends on is unknown.",
    "no_consent": "The action contacts the customer, who refused marketing contact.",
    "consent_unknown": "The action contacts the customer, and the required consent is unknown.",
}
"""Reason code of action `none` -> meaning."""

METRICS = {
    "accuracy": "Share of texts with the correct predicted label.",
    "active_customers": "Customers with a completed order in the last horizon.",
    "calibration_error": "Expected calibration error of the probabilities (15 bins).",
    "campaign_response": "Share of selected customers who responded: contacted, and hold-out as baseline.",
    "churn_auc": "Area under the ROC curve of churn on the test snapshot.",
    "churn_cross_entropy": "Cross-entropy of the churn probability on the test snapshot.",
    "cross_entropy": "Cross-entropy of the predicted labels on the test split (test loss), overall and by slice.",
    "customers": "Number of customers.",
    "hit_rate_at_<n>": "Share of customers with a new purchase who bought one of their n recommendations.",
    "information_gap": "Cross-entropy of labels of unseen texts, overall, by source and by segment.",
    "lapsed_fraction": "Share of customers of the test snapshot who churned.",
    "macro_f1": "Macro-F1 of the predicted labels on the test split, overall and by slice.",
    "recall": "Recall per label on the test split.",
    "retention": "Share of buyers of the previous horizon who bought again (repeat purchase rate).",
    "revenue_before": "Revenue of the previous horizon.",
    "revenue_recent": "Revenue of the last horizon.",
    "satisfaction": "Mean satisfaction of customers with feedback, from -1 to 1.",
    "silhouette": "Silhouette coefficient of the segments.",
    "tickets_recent": "Tickets and calls of the last horizon.",
    "value_mean_absolute_error": "Mean absolute error of expected revenue on the test snapshot.",
    "value_top_tenth_share": "Share of later revenue that the top tenth by expected revenue brought.",
}
"""Metric in ops.metric -> meaning."""
