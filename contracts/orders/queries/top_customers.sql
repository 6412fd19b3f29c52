-- Top customers: the ten who spent the most in each currency, with the details from their latest order.
SELECT currency, place, customers.customer_id, customers.name, customers.country, orders, revenue
FROM (
    SELECT
        currency,
        customer_id,
        count(*) AS orders,
        sum(total_amount) AS revenue,
        rank() OVER (PARTITION BY currency ORDER BY sum(total_amount) DESC) AS place
    FROM orders_current
    WHERE status <> 'cancelled'
    GROUP BY currency, customer_id
) AS spent
JOIN customers_current AS customers ON customers.customer_id = spent.customer_id
WHERE place <= 10
ORDER BY currency, place, customers.customer_id
