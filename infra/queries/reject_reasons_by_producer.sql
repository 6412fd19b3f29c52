-- Reject reasons by producer, in published and in failed files. The producer is the subfolder in
-- incoming/<dataset>/<producer>/…, or null if there is none.
SELECT files.producer, files.outcome, rejects.reason, count(*) AS records, max(rejects.message) AS example
FROM rejects
JOIN (
    SELECT batch_id, producer, 'published' AS outcome FROM runs_current
    UNION
    SELECT
        batch_id,
        CASE WHEN split_part(source.key, '/', 4) > '' THEN split_part(source.key, '/', 3) END,
        'failed'
    FROM failures
    WHERE batch_id NOT IN (SELECT batch_id FROM runs)
) AS files ON files.batch_id = rejects.batch_id
WHERE rejects.reason <> 'superseded'
GROUP BY files.producer, files.outcome, rejects.reason
ORDER BY records DESC, files.producer, files.outcome, rejects.reason
