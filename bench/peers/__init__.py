"""Does the same job with other tools. Each module uses one tool in the way that the tool's documentation shows.

`run(source, out)` reads a JSON Lines file of orders and writes as much as it can of `orders.parquet`,
`customers.parquet` and `items.parquet` to the folder `out`, and returns the number of rows by table. The modules run in
a separate environment (requirements/bench.txt) and import nothing from the pipeline. bench/subjects.py lists what each
tool omits.
"""
