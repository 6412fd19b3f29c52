SELECT _position, event_id, screen, seconds
FROM records
WHERE kind = 'screen_viewed'
