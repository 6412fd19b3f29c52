SELECT _position, return_id, country, item.line AS line, item.product_id AS product_id
FROM (SELECT _position, return_id, country, unnest(items) AS item FROM records)
