SELECT _position, event_id, query, result_count, filters
FROM records
WHERE kind = 'searched'
