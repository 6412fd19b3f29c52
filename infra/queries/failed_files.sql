-- Failed files: those that are not published to this day, with what to do, the newest first.
SELECT ingested_at, source.key AS source_key, error, cause, next_step, batch_id, execution
FROM failures
WHERE batch_id NOT IN (SELECT batch_id FROM runs)
ORDER BY ingested_at DESC, execution DESC
