"""Silver contracts of sales: products, orders with their states and amounts, order lines, payments."""

from crm_spark.contracts.silver_columns import AMOUNT_DOC, CURRENCY, PERSON_ID, entity
from crm_spark.contracts.types import BOOLEAN, DOUBLE, INT, MONEY, STRING, TIMESTAMP
from crm_spark.core.contract import added, optional, required

SALE_STATUSES = ("completed", "open", "shipped", "delivered")
"""Order states that count as a sale; `completed` is one whose delivery the source does not tell."""
RETURN_STATUSES = ("cancelled", "returned")
"""Order states by which a customer withdrew an order."""
ORDER_STATUSES = (*SALE_STATUSES, *RETURN_STATUSES, "unavailable")
"""All order states; the company could not deliver an `unavailable` order."""

PRODUCT = entity(
    "product",
    "product_id",
    "A product in one source system.",
    required("product_id", STRING, "Product id in the source system."),
    optional("name", STRING, "Product name."),
    optional("category", STRING, "Product category or department."),
    optional("brand", STRING, "Product brand."),
    optional("list_price", MONEY, "List price in the source's currency."),
)
ORDER = entity(
    "order",
    "order_id",
    "An order, basket or invoice.",
    required("order_id", STRING, "Order id in the source system."),
    PERSON_ID,
    required("ordered_at", TIMESTAMP, "Time of the order (UTC)."),
    required("status", STRING, "completed, open, shipped, delivered, cancelled, returned or unavailable."),
    optional("channel", STRING, "shop, marketplace, store, phone ..."),
    added("approved_at", TIMESTAMP, "Time at which the order or its payment was approved (UTC)."),
    added("shipped_at", TIMESTAMP, "Time at which the order was handed to the carrier (UTC)."),
    added("delivered_at", TIMESTAMP, "Time at which the customer received the order (UTC)."),
    added("promised_at", TIMESTAMP, "Latest delivery time that the customer was promised (UTC)."),
    added("cancelled_at", TIMESTAMP, "Time of the cancellation (UTC). Until then the order counts as a sale."),
    added("returned_at", TIMESTAMP, "Time of the return or refund (UTC). Until then the order counts as a sale."),
    added("location_id", STRING, "Store or branch that took the order."),
    added(CURRENCY.name, CURRENCY.type, CURRENCY.doc),
    added("freight", MONEY, "Freight charged for the whole order, in `currency`."),
    added("discount", MONEY, "Discount on the whole order beyond those of its lines, in `currency`; never negative."),
    added("tax", MONEY, "Tax contained in or added to the order, in `currency`."),
    added("total", MONEY, "Amount charged for the order, in `currency`."),
    added("amount", MONEY, AMOUNT_DOC.format("`total`") + " Revenue of orders without lines."),
    added("discount_amount", MONEY, AMOUNT_DOC.format("`discount`")),
)
ORDER_LINE = entity(
    "order_line",
    "line_id",
    "A line of an order: one product, one quantity, one price.",
    required("line_id", STRING, "Line id in the source system, or a digest of the line."),
    required("order_id", STRING, "Order that contains the line."),
    optional("product_id", STRING, "Product sold."),
    required("quantity", DOUBLE, "Units sold; negative for returns."),
    required("unit_price", MONEY, "Unit price in `currency`."),
    required("currency", STRING, "ISO 4217 code of the amounts."),
    required("amount", MONEY, "quantity x unit_price - discount in the company's reporting currency."),
    required(
        "is_return", BOOLEAN, "Whether the line was returned or cancelled; false if the source has no such column."
    ),
    added(
        "discount",
        MONEY,
        "Discount on the whole line that `unit_price` does not contain, in `currency`; never negative.",
    ),
    added("freight", MONEY, "Freight charged for the line, in `currency`."),
    added("tax", MONEY, "Tax contained in or added to the line, in `currency`."),
    added("seller_id", STRING, "Seller, for marketplaces."),
)
PAYMENT = entity(
    "payment",
    "payment_id",
    "A payment of an order, or a part of one.",
    required("payment_id", STRING, "Payment id in the source system."),
    optional("order_id", STRING, "Order that was paid."),
    PERSON_ID,
    optional("paid_at", TIMESTAMP, "Time of the payment (UTC)."),
    optional("method", STRING, "card, transfer, voucher ..."),
    optional("instalments", INT, "Number of instalments; 1 if paid at once."),
    required("value", MONEY, "Amount paid, in `currency`; negative for refunds."),
    CURRENCY,
    optional("amount", MONEY, AMOUNT_DOC.format("`value`")),
)
