"""Actions: the next best action of each customer."""

from crm_spark.contracts.features import AS_OF
from crm_spark.contracts.gold import CUSTOMER_ID
from crm_spark.contracts.types import DOUBLE, INT, STRING
from crm_spark.core.contract import TableContract, required

NEXT_BEST_ACTION = TableContract(
    name="actions.next_best",
    grain=("customer_id", "as_of"),
    doc="The one action for a customer, why, and whether the customer is in the hold-out that shows if it helps.",
    columns=(
        CUSTOMER_ID,
        AS_OF,
        required("action", STRING, "Name of the action in the strategy, or `none`."),
        required("reason", STRING, "Reason code of the rule that chose it, or of the suppression."),
        required("is_holdout", INT, "1: the action is withheld from this customer to measure its effect."),
        required(
            "priority", DOUBLE, "Expected revenue at stake, reporting currency: churn probability x expected revenue."
        ),
    ),
    partition_by=("as_of",),
)

TABLES = (NEXT_BEST_ACTION,)
