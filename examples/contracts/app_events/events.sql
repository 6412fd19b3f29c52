SELECT
    _position,
    event_id,
    kind,
    happened_at,
    user_id,
    device.platform AS platform,
    device.app_version AS app_version
FROM records
