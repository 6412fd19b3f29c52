SELECT
    _position,
    invoice_id,
    line_number,
    line.article AS article,
    whole_number_of(line.quantity) AS quantity,
    line.price."$numberDecimal" AS price,
    amount_of(line) AS amount
FROM (
    SELECT _position, _id."$oid" AS invoice_id, unnest(lines) AS line, generate_subscripts(lines, 1) AS line_number
    FROM records
)
