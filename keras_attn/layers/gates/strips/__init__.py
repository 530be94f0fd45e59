"""Gates from the means of rows and of columns."""
