-- One candidate row per order. `write` keeps the one with the latest order date.
SELECT
    _position,
    customer.customer_id AS customer_id,
    customer.name AS name,
    customer.email AS email,
    customer.phone AS phone,
    customer.address.street AS street,
    customer.address.city AS city,
    customer.address.region AS region,
    customer.address.postal_code AS postal_code,
    customer.address.country AS country,
    order_date AS last_order_date,
    customer.loyalty_tier AS loyalty_tier
FROM records
