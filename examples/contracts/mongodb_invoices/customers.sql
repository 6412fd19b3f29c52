-- One candidate row per invoice of a customer. `write` keeps the one of the latest invoice.
SELECT
    _position,
    customer._id."$oid" AS customer_id,
    customer.name AS name,
    customer.vat_id AS vat_id,
    time_of(issued_at) AS last_invoice_at
FROM records
WHERE customer IS NOT NULL
