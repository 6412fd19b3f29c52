-- One candidate row per order of a customer. `write` keeps the one that changed last.
SELECT
    _position,
    customer.id AS customer_id,
    customer.email AS email,
    customer.first_name AS first_name,
    customer.last_name AS last_name,
    customer.default_address.city AS city,
    customer.default_address.country_code AS country,
    customer.updated_at AS updated_at
FROM records
WHERE customer IS NOT NULL
