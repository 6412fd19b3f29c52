-- A string set ("SS") has no order and no duplicates.
SELECT
    _position,
    Item.house_id.S AS house_id,
    Item.booking_id.S AS booking_id,
    unnest(Item.tags.SS) AS tag
FROM records
