SELECT
    _position,
    event_id,
    product_number,
    product.sku AS sku,
    product.quantity AS quantity,
    product.price AS price,
    amount_of(product) AS amount
FROM (
    SELECT _position, event_id, unnest(products) AS product, generate_subscripts(products, 1) AS product_number
    FROM records
    WHERE kind = 'purchased'
)
