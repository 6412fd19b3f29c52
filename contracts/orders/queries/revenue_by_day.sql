-- Revenue by day and currency, in total, for goods and for shipping. Cancelled orders are excluded.
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
