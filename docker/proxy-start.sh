#!/bin/sh
# Tells nginx which name server this network has, so that it finds the site again when its container gets another address,
# and where the site is (SITE, host:port; nginx asks for whole names only, so name the whole one in a cluster).
set -eu
mkdir -p /tmp/nginx
awk '$1 == "nameserver" { print "resolver " ($2 ~ /:/ ? "[" $2 "]" : $2) " valid=10s;"; exit }' /etc/resolv.conf > /tmp/nginx/resolver.conf
printf 'set $site %s;\n' "${SITE:-web:8000}" > /tmp/nginx/site.conf
exec nginx -c /etc/nginx/nginx.conf -g "daemon off;"
