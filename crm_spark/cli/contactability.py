"""How many customers of an exported table cannot be contacted, and why."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from crm_spark.core.contract import TableContract
    from crm_spark.core.tables import TableStore

_REFUSED, _UNKNOWN, _UNREACHABLE = "refused", "unknown", "unreachable"
_CAUSES = {
    _REFUSED: "refused marketing contact",
    _UNKNOWN: "with unknown consent, which the strategy requires",
    _UNREACHABLE: "without e-mail address, phone number and postal address",
}


def contact_warning(store: "TableStore", table: "TableContract", *, require_consent: str) -> str:
    """Return a warning if customers of the table cannot be contacted, with the causes; empty if all can.

    Args:
        store: tables of the lake.
        table: exported table; one without customers, or of identities, gives no warning.
        require_consent: consent rule of the strategy, `given` or `not_refused`.
    """
    from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK, IDENTITY_EVENT, IDENTITY_REVIEW

    if "customer_id" not in table.column_names or table in (CUSTOMER_LINK, IDENTITY_EVENT, IDENTITY_REVIEW):
        return ""
    if not store.exists(CUSTOMER):
        return ""
    exported = store.read(table).select("customer_id").distinct()
    customers = exported.join(store.read(CUSTOMER), "customer_id", "left")
    counts = count_causes(customers, require_consent=require_consent)
    return warning_of(table.name, counts)


def count_causes(customers: "DataFrame", *, require_consent: str) -> dict[str | None, int]:
    """Return the number of customers by the first cause that prevents contact; None: nothing does.

    Args:
        customers: rows of gold.customer.
        require_consent: consent rule of the strategy.
    """
    from pyspark.sql import functions as F

    consent = F.col("has_marketing_consent")
    is_required = F.lit(require_consent == "given")
    has_address = F.col("street").isNotNull() & (F.col("postcode").isNotNull() | F.col("city").isNotNull())
    is_reachable = F.col("email").isNotNull() | F.col("phone").isNotNull() | has_address
    cause = (
        F.when(consent == F.lit(False), _REFUSED)
        .when(consent.isNull() & is_required, _UNKNOWN)
        .when(~is_reachable, _UNREACHABLE)
    )
    rows = customers.groupBy(cause.alias("cause")).count().collect()
    return {row["cause"]: row["count"] for row in rows}


def warning_of(name: str, counts: dict[str | None, int]) -> str:
    """Return the warning for a table; empty if every customer can be contacted."""
    num_customers, num_contactable = sum(counts.values()), counts.get(None, 0)
    if num_contactable == num_customers:
        return ""
    causes = ", ".join(f"{counts[cause]:,} {text}" for cause, text in _CAUSES.items() if counts.get(cause))
    if num_customers == 1:
        who = "the only customer cannot be contacted"
    elif not num_contactable:
        who = f"none of the {num_customers:,} customers can be contacted"
    else:
        who = f"{num_customers - num_contactable:,} of {num_customers:,} customers cannot be contacted"
    return f"{name}: {who}: {causes}."
