-- What the rules and the tables of this contract share. `item` is one element of a record's items.

-- Half up, away from zero. Nearly every amount fits DECIMAL(18,11), whose 64 bits are divided far faster than 128.
CREATE MACRO round_to_cents(amount) AS
    CASE WHEN abs(amount) < 1000000 THEN CAST(round(CAST(amount AS DECIMAL(18, 11)), 2) AS DECIMAL(38, 2))
    ELSE round(amount, 2) END;

-- The wide cast keeps the product exact: DECIMAL(19,4) × DECIMAL(12,3) × DECIMAL(6,4) has 37 digits.
CREATE MACRO line_total(item) AS
    round_to_cents(CAST(item.unit_price AS DECIMAL(19, 4)) * item.quantity * (1 - item.discount));

CREATE MACRO items_total(items) AS
    list_sum(list_transform(items, lambda item: line_total(item)));
