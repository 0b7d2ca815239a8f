"""What trusted tasks need: SMS, enclaves, and a machine that seems to be able to have them."""
