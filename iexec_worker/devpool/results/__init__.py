"""The result proxy of the embedded pool: archives whose digest it has computed itself."""
