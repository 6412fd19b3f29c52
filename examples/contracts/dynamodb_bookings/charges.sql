SELECT
    _position,
    house_id,
    booking_id,
    charge_number,
    charge.M.title.S AS title,
    charge.M.amount.N AS amount
FROM (
    SELECT
        _position,
        Item.house_id.S AS house_id,
        Item.booking_id.S AS booking_id,
        unnest(Item.charges.L) AS charge,
        generate_subscripts(Item.charges.L, 1) AS charge_number
    FROM records
)
