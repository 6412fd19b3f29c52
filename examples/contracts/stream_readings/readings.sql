SELECT
    _position,
    meter_id,
    read_at,
    voltage,
    is_estimated,
    len(registers) AS register_count,
    diagnostics
FROM records
