SELECT
    _position,
    id AS charge_id,
    created AS created_at,
    upper(currency) AS currency,
    amount AS amount_minor,
    main_units(amount, currency) AS amount,
    main_units(amount_captured, currency) AS amount_captured,
    main_units(amount_refunded, currency) AS amount_refunded,
    status,
    customer AS customer_id,
    invoice AS invoice_id,
    failure_code,
    outcome.risk_level AS risk_level,
    payment_method_details.type AS method,
    payment_method_details.card.brand AS card_brand,
    coalesce(payment_method_details.card.last4, payment_method_details.sepa_debit.last4) AS last4,
    metadata
FROM records
