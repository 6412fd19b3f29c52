-- `value` has another type for each setting, so it is JSON.
SELECT _position, event_id, setting, value, TRY_CAST(CASE WHEN json_type(value) = 'BOOLEAN' THEN value END AS BOOLEAN) AS switched_on
FROM records
WHERE kind = 'setting_changed'
