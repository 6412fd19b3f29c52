-- One candidate row per reading. `write` keeps the one of the latest reading.
SELECT _position, meter_id, device.model AS model, device.firmware AS firmware, read_at AS last_read_at
FROM records
