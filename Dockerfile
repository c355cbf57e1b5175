# The site, its workers and its trainer. Every image is Debian's own Python on debian:bookworm-slim, run by an unprivileged user.
#   docker build .                        the site and the ordinary workers (the last stage; no torch in it)
#   docker build --target trainer .       with everything that training needs; torch brings its CUDA libraries from the package index

FROM debian:bookworm-slim AS python
ENV LANG=C.UTF-8 PYTHONUTF8=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PATH=/opt/venv/bin:$PATH
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/*

# --- packages -----------------------------------------------------------------------------------------------------
FROM python AS site-packages
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/venv
COPY requirements.lock docker/training-only.txt /tmp/
# The lock is whole, so nothing is resolved anew: what only training needs is left out by name.
RUN awk -v names="^($(paste -sd'|' /tmp/training-only.txt))==" '/^[^ ]/ { left_out = $0 ~ names } !left_out' /tmp/requirements.lock > /tmp/site.lock \
 && pip install --no-cache-dir --no-deps --require-hashes -r /tmp/site.lock

FROM site-packages AS training-packages
COPY requirements.txt /tmp/
RUN pip install --no-cache-dir --no-deps --require-hashes -r /tmp/requirements.lock \
 && pip install --no-cache-dir -r /tmp/requirements.txt

# --- the project --------------------------------------------------------------------------------------------------
FROM python AS project
RUN apt-get update \
 && apt-get install -y --no-install-recommends ffmpeg postgresql-client tini \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --user-group --create-home emotions \
 && install -d -o emotions -g emotions /var/lib/emotions
ENV EMOTIONS_VAR=/var/lib/emotions DEBUG=false MPLCONFIGDIR=/tmp/matplotlib XDG_CACHE_HOME=/tmp/cache
WORKDIR /srv/emotions
COPY . .
# Read-only to the user that runs it: what an intruder could write is only /var/lib/emotions.
RUN python3 -m compileall -q annotation config crawler qa training
ENTRYPOINT ["tini", "--"]
USER emotions

FROM project AS trainer
COPY --from=training-packages /opt/venv /opt/venv
CMD ["celery", "-A", "config", "worker", "--queues", "gpu", "--concurrency", "1", "--loglevel", "INFO"]

FROM project AS web
COPY --from=site-packages /opt/venv /opt/venv
EXPOSE 8000
CMD ["gunicorn", "config.wsgi", "--bind", "0.0.0.0:8000", "--workers", "2", "--threads", "8", "--timeout", "60", "--max-requests", "5000", "--max-requests-jitter", "500", "--no-control-socket"]
