SELECT
    _position,
    Item.house_id.S AS house_id,
    Item.booking_id.S AS booking_id,
    to_timestamp(Item.booked_at.N) AS booked_at,
    Item.arrival.S AS arrival,
    Item.departure.S AS departure,
    Item.guest_count.N AS guest_count,
    Item.total.N AS total,
    Item.has_breakfast.BOOL AS has_breakfast,
    Item.note.S AS note,
    Item.channel->>'$.M.name.S' AS channel_name,
    Item.channel AS channel
FROM records
