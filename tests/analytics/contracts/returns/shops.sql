SELECT _position, shop_id, shop_name AS name, seen_at FROM records
