-- Tax lines have no id. Their position within the line becomes part of the key.
SELECT
    _position,
    order_id,
    line_id,
    tax_number,
    is_shipping,
    tax.title AS title,
    tax.rate AS rate,
    tax.price AS amount
FROM (
    SELECT
        _position,
        order_id,
        line_id,
        is_shipping,
        unnest(tax_lines) AS tax,
        generate_subscripts(tax_lines, 1) AS tax_number
    FROM (
        SELECT _position, order_id, item.id AS line_id, item.tax_lines AS tax_lines, false AS is_shipping
        FROM (SELECT _position, id AS order_id, unnest(line_items) AS item FROM records)
        UNION ALL
        SELECT _position, order_id, item.id, item.tax_lines, true
        FROM (SELECT _position, id AS order_id, unnest(shipping_lines) AS item FROM records)
    )
)
