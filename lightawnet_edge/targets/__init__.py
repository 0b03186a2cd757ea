"""A folder for each toolchain; `table` is the only list of them."""
