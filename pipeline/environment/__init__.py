"""What Restem needs of a machine: the set-up scripts, and the doctor that says what was found."""
