#!/bin/sh
# The password comes from a file and goes in by standard input, so that no process list shows it.
set -eu
exec redis-server - <<CONF
dir /data
bind 0.0.0.0
port 6379
appendonly yes
appendfsync everysec
maxmemory 256mb
maxmemory-policy noeviction
requirepass $(cat /run/secrets/redis_password)
CONF
