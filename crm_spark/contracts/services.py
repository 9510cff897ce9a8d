"""Silver contracts of businesses that sell contracts, visits, trips or courses: subscriptions, usage, appointments, deals."""

from crm_spark.contracts.silver_columns import AMOUNT_DOC, CURRENCY, PERSON_ID, entity
from crm_spark.contracts.types import BOOLEAN, DOUBLE, MONEY, STRING, TIMESTAMP
from crm_spark.core.contract import Sensitivity, optional, required

SUBSCRIPTION_STATUSES = ("active", "paused", "ended")
APPOINTMENT_STATUSES = ("booked", "attended", "missed", "cancelled")
DEAL_STATUSES = ("open", "won", "lost")

LOCATION = entity(
    "location",
    "location_id",
    "A store, branch, clinic, campus or hotel.",
    required("location_id", STRING, "Location id in the source system."),
    optional("name", STRING, "Name of the location."),
    optional("kind", STRING, "store, branch, clinic, campus ..."),
    optional("region", STRING, "Region or district."),
    optional("city", STRING, "City, as written."),
    optional("country", STRING, "Country, as written."),
)
SUBSCRIPTION = entity(
    "subscription",
    "subscription_id",
    "A contract that lasts: a subscription, membership, policy, account or tariff.",
    required("subscription_id", STRING, "Subscription id in the source system."),
    PERSON_ID,
    optional("product_id", STRING, "Product sold by subscription."),
    optional("plan", STRING, "Plan or tariff."),
    required("status", STRING, "active, paused or ended."),
    required("started_at", TIMESTAMP, "Start (UTC)."),
    optional("renews_at", TIMESTAMP, "Next renewal or end of the agreed term (UTC)."),
    optional("is_renewing", BOOLEAN, "Whether it renews unless it is cancelled; null if unknown."),
    optional("cancelled_at", TIMESTAMP, "Time at which the customer gave notice (UTC)."),
    optional("ended_at", TIMESTAMP, "End (UTC); null while it lasts."),
    optional("end_reason", STRING, "Reason of the end."),
    optional("price", MONEY, "Price per billing period, in `currency`."),
    optional("billing_period", STRING, "day, week, month, quarter, half_year or year."),
    CURRENCY,
    optional("amount", MONEY, AMOUNT_DOC.format("`price`")),
    optional("location_id", STRING, "Location to which it belongs."),
)
USAGE = entity(
    "usage",
    "usage_id",
    "A use of a service or a transaction of an account: a call, a session, a withdrawal.",
    required("usage_id", STRING, "Id in the source system."),
    PERSON_ID,
    optional("subscription_id", STRING, "Subscription or account that was used."),
    required("happened_at", TIMESTAMP, "Time of the use (UTC)."),
    optional("kind", STRING, "call, data, session, deposit, withdrawal ..."),
    optional("quantity", DOUBLE, "Quantity, in `unit`."),
    optional("unit", STRING, "Unit of `quantity`: minutes, megabytes ..."),
    optional("value", MONEY, "Value of the use or transaction, in `currency`; negative for outflows."),
    CURRENCY,
    optional("amount", MONEY, AMOUNT_DOC.format("`value`")),
)
APPOINTMENT = entity(
    "appointment",
    "appointment_id",
    "An appointment, visit, booking, stay or enrolment.",
    required("appointment_id", STRING, "Id in the source system."),
    PERSON_ID,
    required("kind", STRING, "appointment, visit, booking, stay, trip, enrolment ..."),
    required("status", STRING, "booked, attended, missed or cancelled."),
    optional("booked_at", TIMESTAMP, "Time at which it was booked (UTC)."),
    required("starts_at", TIMESTAMP, "Start (UTC)."),
    optional("ends_at", TIMESTAMP, "End (UTC)."),
    optional("product_id", STRING, "Treatment, tour or course."),
    optional("location_id", STRING, "Location at which it takes place."),
    optional("price", MONEY, "Price, in `currency`."),
    CURRENCY,
    optional("amount", MONEY, AMOUNT_DOC.format("`price`")),
)
DEAL = entity(
    "deal",
    "deal_id",
    "A lead or deal of a sales team, with its stage.",
    required("deal_id", STRING, "Id in the source system."),
    PERSON_ID,
    optional("name", STRING, "Name of the deal, as written.", Sensitivity.PERSONAL),
    optional("kind", STRING, "lead or deal."),
    required("status", STRING, "open, won or lost."),
    optional("stage", STRING, "Stage in the sales pipeline."),
    optional("channel", STRING, "Origin of the lead: fair, web form, partner ..."),
    required("opened_at", TIMESTAMP, "Time at which it was opened (UTC)."),
    optional("expected_at", TIMESTAMP, "Expected closing time (UTC)."),
    optional("closed_at", TIMESTAMP, "Time at which it was won or lost (UTC)."),
    optional("lost_reason", STRING, "Reason of the loss."),
    optional("value", MONEY, "Value, in `currency`."),
    CURRENCY,
    optional("amount", MONEY, AMOUNT_DOC.format("`value`")),
)
RELATION = entity(
    "relation",
    "relation_id",
    "A relation of a person to another person or organisation of the same system.",
    required("relation_id", STRING, "Id in the source system, or a digest of the record."),
    required("person_id", STRING, "The person."),
    required(
        "kind", STRING, "household, employer, referrer, account (the person is a contact of a business account) ..."
    ),
    required("other_id", STRING, "Household, employer, person who referred the person, or business account."),
    optional("started_at", TIMESTAMP, "Start (UTC)."),
    optional("ended_at", TIMESTAMP, "End (UTC); null while it lasts."),
)
