SELECT
    _position,
    refund.id AS refund_id,
    charge_id,
    refund.created AS created_at,
    refund.amount AS amount_minor,
    main_units(refund.amount, currency) AS amount,
    refund.reason AS reason,
    refund.status AS status
FROM (SELECT _position, id AS charge_id, currency, unnest(refunds.data) AS refund FROM records)
