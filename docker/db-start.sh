#!/bin/sh
# Makes the database at the first start, then becomes the server.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    rm -rf "${PGDATA:?}"/*  # what a broken first start left behind
    new=$PGDATA/new
    initdb --pgdata="$new" --auth-host=scram-sha-256 --auth-local=peer --username=emotions --pwfile=/run/secrets/db_password --encoding=UTF8 --locale=C.UTF-8 --data-checksums
    printf 'host all all all scram-sha-256\nlocal all all peer map=local\n' >> "$new/pg_hba.conf"
    sed -i 's/^local  *all  *all  *peer$/local all all peer map=local/' "$new/pg_hba.conf"
    printf 'local postgres emotions\n' >> "$new/pg_ident.conf"
    echo 'CREATE DATABASE emotions;' | postgres --single -D "$new" postgres
    # The file that says that all is there comes last: a first start that is cut short begins anew.
    mv "$new/PG_VERSION" "$PGDATA/.version"
    mv "$new"/* "$PGDATA"
    rmdir "$new"
    mv "$PGDATA/.version" "$PGDATA/PG_VERSION"
fi
exec postgres -D "$PGDATA" -c listen_addresses='*' -c max_connections="${DB_MAX_CONNECTIONS:-200}" -c shared_buffers="${DB_SHARED_BUFFERS:-256MB}" \
    -c log_min_duration_statement=1000 -c idle_in_transaction_session_timeout=60s
