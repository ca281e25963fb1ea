#!/bin/sh
# Makes the database at the first start of PostgreSQL, by the variables of the public image; then runs the command.
set -eu
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth=scram-sha-256 --encoding=UTF8
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    # One database, made before anybody can connect.
    echo "CREATE DATABASE \"$POSTGRES_DB\";" | postgres --single -E -D "$PGDATA" postgres
fi
exec "$@"
