"""What each recipe in examples/contracts must make of its sample, in plain Python without the pipeline's code.

A module is named like its recipe and defines:

- `records(data)`: the records in a sample file, in order
- `KEY(record)`: what identifies a record
- `tables(records)`: the expected rows of each table, for records of which none supersedes another
- `JSON`: the names of the columns that hold JSON; rows have its parsed value
- `with_a_bad_record(data)`: the file with one more record, which breaks the contract
- `REJECT`: the reason and a part of the sentence with which this record is rejected
"""
