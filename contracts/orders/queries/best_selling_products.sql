-- Best-selling products: units and sales by product and currency, with each product's latest name.
SELECT
    items.product_id,
    max_by(items.product_name, orders.order_date) AS product_name,
    orders.currency,
    sum(items.quantity) AS units,
    sum(items.line_total) AS sales
FROM items_current AS items
JOIN orders_current AS orders ON orders.order_id = items.order_id
WHERE orders.status <> 'cancelled'
GROUP BY items.product_id, orders.currency
ORDER BY sales DESC, items.product_id
LIMIT 50
