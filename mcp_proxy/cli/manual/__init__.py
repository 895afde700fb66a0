"""The manual: pages as values, made from the tables that the program itself works by."""
