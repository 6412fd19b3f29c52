-- Files by day: how many were published, and what became of their records.
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
