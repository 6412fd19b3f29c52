-- What the rules and the tables of this contract share. `item` is one element of a record's items.

-- Half up, away from zero, and exact in both ways. Nearly every item fits the first, whose 64 bits are multiplied and
-- divided far faster than 128; the second takes any: DECIMAL(19,4) × DECIMAL(12,3) × DECIMAL(6,4) has 37 digits.
--
-- The types are those of the columns, so `validate` need not check each value. A total that its column can't hold is
-- NULL, and so is the total of an order with such an item. The rule total_mismatch rejects the order then.
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
