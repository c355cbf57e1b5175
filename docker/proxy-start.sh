#!/bin/sh
# Tells nginx which name server this network has, so that it finds the site again when its container gets another address,
# where the site is (SITE, host:port; nginx asks for whole names only, so name the whole one in a cluster), and by which port
# browsers reach it over TLS (HTTPS_PORT), which plain HTTP is sent on to.
set -eu
mkdir -p /tmp/nginx
awk '$1 == "nameserver" { print "resolver " ($2 ~ /:/ ? "[" $2 "]" : $2) " valid=10s;"; exit }' /etc/resolv.conf > /tmp/nginx/resolver.conf
port=:${HTTPS_PORT:-443}
[ "$port" != :443 ] || port=
printf 'set $site %s;\nset $port "%s";\n' "${SITE:-web:8000}" "$port" > /tmp/nginx/site.conf
exec nginx -c /etc/nginx/nginx.conf -g "daemon off;"
