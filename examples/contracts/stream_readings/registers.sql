SELECT
    _position,
    meter_id,
    read_at,
    register.code AS code,
    register.unit AS unit,
    register.value AS value
FROM (SELECT _position, meter_id, read_at, unnest(registers) AS register FROM records)
