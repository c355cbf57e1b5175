"""What the site remembers about itself."""

from django.db import models


class Backup(models.Model):
    """One backup that was written and verified."""

    path = models.CharField(max_length=500)
    kind = models.CharField(max_length=10, help_text="sqlite, postgresql or portable")
    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveBigIntegerField()
    rows = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        permissions = [("view_status", "Can see services, queues, disk and backups")]

    def __str__(self) -> str:
        return f"{self.path}, {self.created_at:%Y-%m-%d %H:%M}"
