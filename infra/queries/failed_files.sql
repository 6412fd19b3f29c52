-- Failed files that are still not published, with the next step, newest first.
SELECT ingested_at, source.key AS source_key, error, cause, next_step, batch_id, execution
FROM failures
WHERE batch_id NOT IN (SELECT batch_id FROM runs)
ORDER BY ingested_at DESC, execution DESC
