SELECT
    _position,
    _id."$oid" AS invoice_id,
    whole_number_of(number) AS number,
    time_of(issued_at) AS issued_at,
    time_of(paid_at) AS paid_at,
    customer._id."$oid" AS customer_id,
    currency,
    total."$numberDecimal" AS total,
    len(lines) AS line_count,
    settings
FROM records
