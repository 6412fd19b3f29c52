-- Amounts are sent in the smallest unit of their currency. How many of them make a main unit depends on the currency.
-- DECIMAL × DECIMAL is exact in DuckDB; a division would return a DOUBLE.
CREATE MACRO main_units(minor, currency) AS
    CASE
        WHEN currency IN ('bif', 'clp', 'djf', 'gnf', 'jpy', 'kmf', 'krw', 'mga', 'pyg', 'rwf', 'vnd', 'vuv', 'xaf', 'xof', 'xpf')
        THEN CAST(minor AS DECIMAL(19, 0)) * 1.000
        WHEN currency IN ('bhd', 'jod', 'kwd', 'omr', 'tnd') THEN CAST(minor AS DECIMAL(19, 0)) * 0.001
        ELSE CAST(minor AS DECIMAL(19, 0)) * 0.010
    END;

CREATE MACRO refunded_minor(refunds) AS
    coalesce(list_sum(list_transform(refunds.data, lambda refund: refund.amount)), 0);
