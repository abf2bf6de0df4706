"""What a wrong gradient looks like: the usual mistakes, compared with the numbers that were found."""
