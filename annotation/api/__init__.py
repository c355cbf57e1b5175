"""The annotation part of /api/v1/: one file per noun. Views check shape and permission; services decide."""
