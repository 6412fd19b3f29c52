SELECT _position, event_id, order_id, currency, amount
FROM records
WHERE kind = 'purchased'
