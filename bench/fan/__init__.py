"""Fan-out: one item to many viewers, beside other servers, with the same generator."""
