"""The report of one batch: a page of HTML that needs nothing but itself."""
