-- Relaxed Extended JSON has {"$date": "2026-03-02T09:15:30Z"} and 3. Canonical Extended JSON has
-- {"$date": {"$numberLong": "1772442930000"}} and {"$numberInt": "3"}. The schema describes both forms, so each of these
-- values is JSON here.

CREATE MACRO time_of(date) AS
    CASE
        WHEN json_type(date."$date") = 'OBJECT'
        THEN make_timestamp(CAST(date."$date"->>'$.$numberLong' AS BIGINT) * 1000)
        ELSE CAST(CAST(date."$date"->>'$' AS TIMESTAMPTZ) AS TIMESTAMP)
    END;

CREATE MACRO whole_number_of(value) AS
    CAST(coalesce(value->>'$.$numberInt', value->>'$.$numberLong', value->>'$') AS INTEGER);

-- DECIMAL × DECIMAL is exact. A sum that is too large is null, so that the rule rejects the invoice.
CREATE MACRO amount_of(line) AS
    TRY_CAST(
        round(CAST(line.price."$numberDecimal" AS DECIMAL(18, 4)) * CAST(whole_number_of(line.quantity) AS DECIMAL(10, 0)), 2)
        AS DECIMAL(16, 2)
    );

CREATE MACRO sum_of_lines(lines) AS
    TRY_CAST(list_sum(list_transform(lines, lambda line: amount_of(line))) AS DECIMAL(16, 2));
