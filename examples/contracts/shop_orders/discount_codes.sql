SELECT _position, order_id, code_number, item.code AS code, item.type AS kind, item.amount AS amount
FROM (
    SELECT
        _position,
        id AS order_id,
        unnest(discount_codes) AS item,
        generate_subscripts(discount_codes, 1) AS code_number
    FROM records
)
