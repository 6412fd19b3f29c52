-- Version 1 has no tax, no discount on the whole order, and no loyalty programme.
SELECT
    * REPLACE (struct_insert(customer, loyalty_tier := CAST(NULL AS VARCHAR)) AS customer),
    0 AS tax_amount,
    0 AS discount_amount
FROM records
