#!/bin/sh
# Tells nginx which name server this network has, so that it finds the site again when its container gets another address.
set -eu
mkdir -p /tmp/nginx
awk '$1 == "nameserver" { print "resolver " ($2 ~ /:/ ? "[" $2 "]" : $2) " valid=10s;"; exit }' /etc/resolv.conf > /tmp/nginx/resolver.conf
exec nginx -c /etc/nginx/nginx.conf -g "daemon off;"
