"""The same job with other tools: each module uses one tool as its own documentation does.

`run(source, out)` reads a JSON Lines file of orders and writes as much as it can of `orders.parquet`,
`customers.parquet` and `items.parquet` into the folder `out`; it returns the rows by table. The modules run in a
separate environment (requirements/bench.txt) and import nothing from the pipeline. bench/subjects.py lists what each
omits.
"""
