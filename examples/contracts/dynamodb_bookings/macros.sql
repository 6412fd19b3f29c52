-- The sum of a booking's charges, and 0 without charges. Each element is {"M": {"amount": {"N": "…"}, …}}.
CREATE MACRO sum_of_charges(charges) AS
    coalesce(list_sum(list_transform(charges, lambda charge: charge.M.amount.N)), 0);
