# Redis from Debian: the broker. It keeps its queues over a restart (append-only file); the state of every job is in PostgreSQL all the same.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/* \
 && install -d -o redis -g redis -m 0700 /data
COPY docker/redis-start.sh /usr/local/bin/redis-start.sh
USER redis
VOLUME /data
WORKDIR /data
ENTRYPOINT ["sh", "/usr/local/bin/redis-start.sh"]
