-- Sums that the rules and tables share. `lines` are line items or shipping lines. The results have the types of the
-- columns; a sum that is too large is null, so that the rules reject the order.

CREATE MACRO sum_of_shipping(lines) AS
    TRY_CAST(coalesce(list_sum(list_transform(lines, lambda line: line.price)), 0) AS DECIMAL(14, 2));

CREATE MACRO tax_of_lines(lines) AS
    TRY_CAST(
        coalesce(
            list_sum(
                list_transform(
                    lines, lambda line: coalesce(list_sum(list_transform(line.tax_lines, lambda tax: tax.price)), 0)
                )
            ),
            0
        ) AS DECIMAL(14, 2)
    );
