-- Runs whose revenue in the table differs from the control total. The result should be empty. Investigate any row.
SELECT
    runs.batch_id,
    runs.source.key AS source_key,
    CAST(element_at(runs.control_totals, 'total_amount').published AS decimal(38, 4)) AS control_total,
    sum(orders.total_amount) AS in_table
FROM runs
JOIN orders ON orders.batch_id = runs.batch_id
GROUP BY runs.batch_id, runs.source.key, element_at(runs.control_totals, 'total_amount').published
HAVING sum(orders.total_amount) <> CAST(element_at(runs.control_totals, 'total_amount').published AS decimal(38, 4))
ORDER BY runs.batch_id
