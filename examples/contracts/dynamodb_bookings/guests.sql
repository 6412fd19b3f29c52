SELECT
    _position,
    house_id,
    booking_id,
    guest_number,
    guest.M.name.S AS name,
    guest.M.age.N AS age
FROM (
    SELECT
        _position,
        Item.house_id.S AS house_id,
        Item.booking_id.S AS booking_id,
        unnest(Item.guests.L) AS guest,
        generate_subscripts(Item.guests.L, 1) AS guest_number
    FROM records
)
