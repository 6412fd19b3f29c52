SELECT
    _position,
    order_id,
    order_date,
    status,
    currency,
    customer.customer_id AS customer_id,
    len(items) AS item_count,
    items_total,
    shipping_cost,
    total_amount
FROM records
