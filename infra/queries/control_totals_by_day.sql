-- Control totals by day: the sums that were published, which those of the tables must equal; exact.
SELECT
    runs_current.ingest_date,
    name,
    sum(CAST(total.published AS decimal(38, 4))) AS published
FROM runs_current
JOIN runs ON runs.batch_id = runs_current.batch_id
CROSS JOIN UNNEST(runs.control_totals) AS totals (name, total)
GROUP BY runs_current.ingest_date, name
ORDER BY runs_current.ingest_date, name
