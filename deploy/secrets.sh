#!/bin/sh
# Makes the secrets that docker-compose.yml names, once, in deploy/secrets. Keep a copy
# of deploy/secrets/secret_key apart from the copies of the database: without it they
# cannot be opened.
#
# Their folder is closed to everybody else on this machine. The files themselves are
# not: a container sees the files alone, with the owner and the mode that they have
# here, and runs as another user.
set -eu
cd "$(dirname "$0")"

if [ -e secrets ]; then
	echo "deploy/secrets is there already; nothing was made" >&2
	exit 1
fi

random() { # random bytes in hexadecimal, which a URL takes as they are
	head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'
}

postgres=$(random)
redis=$(random)

umask 077
new=$(mktemp -d ./secrets.XXXXXX)
trap 'rm -rf "$new"' EXIT
head -c 32 /dev/urandom | base64 >"$new/secret_key"
printf '%s' "$postgres" >"$new/postgres_password"
printf 'postgres://signpost:%s@postgres:5432/signpost?sslmode=disable\n' "$postgres" >"$new/database_url"
printf 'redis://signpost:%s@redis:6379/0\n' "$redis" >"$new/redis_url"
# Without a name and a password one may ask whether Redis lives, and nothing else.
cat >"$new/redis_acl" <<END
user default on nopass resetkeys resetchannels -@all +ping
user signpost on >$redis resetchannels ~signpost:* &signpost:* -@all +get +getrange +strlen +set +del +getdel +eval +evalsha +time +publish +subscribe +unsubscribe +ping +hello +auth +select +client|setname
END
chmod 0444 "$new"/*
mv "$new" secrets
trap - EXIT
echo "made deploy/secrets"
