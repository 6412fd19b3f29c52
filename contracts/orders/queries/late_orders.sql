-- Late orders, whose first file arrived more than a day after the order was placed.
SELECT
    orders.order_id,
    orders.order_date,
    arrivals.ingested_at AS first_ingested_at,
    date_diff('day', CAST(orders.order_date AS date), CAST(arrivals.ingested_at AS date)) AS days_late
FROM orders_current AS orders
JOIN (
    SELECT versions.order_id, min(versions.ingested_at) AS ingested_at
    FROM orders AS versions
    JOIN runs_current ON runs_current.batch_id = versions.batch_id
    GROUP BY versions.order_id
) AS arrivals ON arrivals.order_id = orders.order_id
WHERE arrivals.ingested_at > orders.order_date + INTERVAL '1' DAY
ORDER BY days_late DESC, orders.order_id
