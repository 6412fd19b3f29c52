-- Revenue by day and currency: what was ordered, and what of it is goods and what is shipping. Cancelled orders don't count.
SELECT
    CAST(order_date AS date) AS day,
    currency,
    count(*) AS orders,
    sum(items_total) AS goods,
    sum(shipping_cost) AS shipping,
    sum(total_amount) AS revenue
FROM orders_current
WHERE status <> 'cancelled'
GROUP BY CAST(order_date AS date), currency
ORDER BY day, currency
