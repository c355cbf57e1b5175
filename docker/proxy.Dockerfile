# nginx from Debian: TLS, the site's clips by X-Accel, and nothing else.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends nginx-light curl && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --no-create-home emotions
COPY docker/nginx.conf /etc/nginx/nginx.conf
COPY docker/proxy-start.sh /usr/local/bin/proxy-start.sh
USER emotions
EXPOSE 8080 8443
ENTRYPOINT ["sh", "/usr/local/bin/proxy-start.sh"]
