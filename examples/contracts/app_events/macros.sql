CREATE MACRO amount_of(product) AS CAST(product.price AS DECIMAL(12, 2)) * CAST(product.quantity AS DECIMAL(6, 0));

CREATE MACRO total_of(products) AS
    TRY_CAST(list_sum(list_transform(products, lambda product: amount_of(product))) AS DECIMAL(18, 2));
