SELECT
    _position,
    order_id,
    order_date,
    status,
    upper(currency) AS currency,
    customer.customer_id AS customer_id,
    item_count,
    items_total,
    shipping_cost,
    total_amount,
    tax_amount,
    discount_amount
FROM records
