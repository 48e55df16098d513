"""Files to rows: each format is a generator of rows and of what is wrong with lines, in bounded memory."""
