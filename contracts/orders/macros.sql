-- Macros that the rules and tables of this contract share. `item` is one element of a record's items.

-- Rounds half up, away from zero. Both branches are exact. The first branch is for nearly every item, because arithmetic
-- with 64 bits is much faster than with 128 bits. The second branch is for all other items, because
-- DECIMAL(19,4) × DECIMAL(12,3) × DECIMAL(6,4) has 37 digits.
--
-- The results have the types of the columns, so `validate` doesn't check each value. A total that doesn't fit its column
-- is NULL, and so is the order's total. The rule total_mismatch then rejects the order.
CREATE MACRO line_total(item) AS
    TRY_CAST(
        coalesce(
            round(
                TRY_CAST(item.unit_price AS DECIMAL(7, 4)) * TRY_CAST(item.quantity AS DECIMAL(6, 3))
                    * TRY_CAST(1 - item.discount AS DECIMAL(5, 4)),
                2
            ),
            round(CAST(item.unit_price AS DECIMAL(19, 4)) * item.quantity * (1 - item.discount), 2)
        ) AS DECIMAL(18, 2)
    );

CREATE MACRO items_total(items) AS
    CASE
        WHEN list_count(list_transform(items, lambda item: line_total(item))) = len(items)
        THEN TRY_CAST(list_sum(list_transform(items, lambda item: line_total(item))) AS DECIMAL(16, 2))
    END;
