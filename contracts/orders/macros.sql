-- What the rules and the tables of this contract share. `item` is one element of a record's items.
-- The wide cast keeps the product exact: DECIMAL(19,4) × DECIMAL(12,3) × DECIMAL(6,4) has 37 digits.
CREATE MACRO line_total(item) AS
    round(CAST(item.unit_price AS DECIMAL(19, 4)) * item.quantity * (1 - item.discount), 2);

CREATE MACRO items_total(items) AS
    list_sum(list_transform(items, lambda item: line_total(item)));
