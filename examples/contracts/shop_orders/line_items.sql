SELECT
    _position,
    order_id,
    item.id AS line_item_id,
    item.product_id AS product_id,
    item.sku AS sku,
    item.title AS title,
    item.quantity AS quantity,
    item.price AS unit_price,
    item.total_discount AS discount,
    item.properties AS properties
FROM (SELECT _position, id AS order_id, unnest(line_items) AS item FROM records)
