#!/bin/sh
# Makes docker/secrets/: random secrets and a self-signed certificate, each once; put your own certificate in its place.
# The folder is closed to others; the files are readable inside the containers, whose users are not yours.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
cd secrets
random() { head -c 60 /dev/urandom | base64 | tr -d '/+=\n' | cut -c1-"$1"; }
make() { [ -s "$1" ] || { printf '%s' "$2" > "$1"; chmod 0444 "$1"; }; }
make secret_key "$(random 64)"
make author_hash_key "$(random 64)"
make db_password "$(random 40)"
make redis_password "$(random 40)"
make metrics_token "$(random 40)"
make s3_secret_key "$(random 40)"
make grafana_password "$(random 40)"
[ -e oidc_client_secret ] || { : > oidc_client_secret; chmod 0444 oidc_client_secret; } # of your sign-in server, where there is one; empty: none
make database_url "postgres://emotions:$(cat db_password)@db:5432/emotions"
make broker_url "redis://:$(cat redis_password)@redis:6379/0"
if [ ! -s tls_key ]; then
    openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj "/CN=${1:-localhost}" -addext "subjectAltName=DNS:${1:-localhost}" \
        -keyout tls_key -out tls_certificate 2>/dev/null
    chmod 0444 tls_key tls_certificate
fi
echo "docker/secrets: ready"
