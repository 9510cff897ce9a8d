"""Contract of the `actions` layer: the next best action of each customer."""

from crm_spark.contracts.features import AS_OF
from crm_spark.contracts.gold import CUSTOMER_ID
from crm_spark.contracts.types import DOUBLE, INT, STRING
from crm_spark.core.contract import TableContract, optional, required

NEXT_BEST_ACTION = TableContract(
    name="actions.next_best",
    grain=("customer_id", "as_of"),
    doc="The recommended action for each customer, the reason, and whether the customer is in the holdout group.",
    columns=(
        CUSTOMER_ID,
        AS_OF,
        required("action", STRING, "Action name from the strategy, or `none`."),
        required(
            "reason",
            STRING,
            "Reason code of the rule that selected the action. Without an action: no_rule_applies (none is needed), not_known "
            "(an action might apply, but a fact is unknown), no_consent (refused), consent_unknown (required, but unknown).",
        ),
        required("is_holdout", INT, "1 if the action is withheld to measure its effect, else 0."),
        optional(
            "priority",
            DOUBLE,
            "Expected revenue at risk in the reporting currency: churn probability x expected revenue; null if unknown.",
        ),
    ),
    partition_by=("as_of",),
)

TABLES = (NEXT_BEST_ACTION,)
