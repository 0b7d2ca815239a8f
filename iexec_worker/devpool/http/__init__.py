"""What all HTTP services of the embedded pool share: serving, cutting wires, faults, the record."""
