"""The pages of labelling: the workbench (workbench.py), the people (people.py)."""
