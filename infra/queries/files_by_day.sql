-- Published files by day, with their records by outcome.
SELECT
    ingest_date,
    count(*) AS files,
    sum(received) AS received,
    sum(rejected) AS rejected,
    sum(superseded) AS superseded,
    sum(published) AS published
FROM runs_current
GROUP BY ingest_date
ORDER BY ingest_date
