SELECT _position, return_id, country AS land, item.line AS line, unnest(item.remarks) AS remark
FROM (SELECT _position, return_id, country, unnest(items) AS item FROM records)
