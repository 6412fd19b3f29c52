"""The same job as a Python user would else do it: each module is one way, written as its own documentation would.

`run(source, out)` reads a JSON Lines file of orders and writes what it can of `orders.parquet`, `customers.parquet`
and `items.parquet` into the folder `out`; it answers the rows of each. The modules run in an environment of their
own (requirements/bench.txt) and import nothing of the pipeline. What each leaves out stands in bench/subjects.py.
"""
