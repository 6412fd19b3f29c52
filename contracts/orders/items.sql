SELECT
    _position,
    order_id,
    item.line_number AS line_number,
    item.product_id AS product_id,
    item.product_name AS product_name,
    item.quantity AS quantity,
    item.unit_price AS unit_price,
    item.discount AS discount,
    line_total(item) AS line_total
FROM (SELECT _position, order_id, unnest(items) AS item FROM records)
