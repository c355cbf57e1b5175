"""The steps of the journey, one file each; imported once Django is set up."""
