import { imagePath } from './busybox.js';
import { buildDebianImage } from './debian.js';
import { type EngineAddress, type ImageFile, importImage } from './tar.js';

/** Start of a container, with the variables of the official image: see its page on Docker Hub. */
const entrypoint = `#!/bin/sh
set -e

# A value comes from NAME or from the file that NAME_FILE names, never from both.
value_of() {
  eval "direct=\\\${$1:-} file=\\\${$1_FILE:-}"
  if [ -n "$direct" ] && [ -n "$file" ]; then
    echo "error: both $1 and $1_FILE are set" >&2
    exit 1
  fi
  if [ -n "$file" ]; then cat "$file"; else printf %s "\${direct:-$2}"; fi
}

case \${1:-} in
  postgres | -*) ;;
  *) exec "$@" ;;
esac
[ "\${1#-}" = "$1" ] || set -- postgres "$@"

if [ "$(id -u)" = 0 ]; then
  # Secrets may be readable by root alone: read them before becoming postgres.
  POSTGRES_PASSWORD=$(value_of POSTGRES_PASSWORD '')
  POSTGRES_USER=$(value_of POSTGRES_USER postgres)
  POSTGRES_DB=$(value_of POSTGRES_DB "$POSTGRES_USER")
  unset POSTGRES_PASSWORD_FILE POSTGRES_USER_FILE POSTGRES_DB_FILE
  export POSTGRES_PASSWORD POSTGRES_USER POSTGRES_DB
  mkdir -p "$PGDATA" /run/postgresql
  chown -R postgres:postgres "$PGDATA" /run/postgresql
  chmod 700 "$PGDATA"
  # By its path: busybox's shell would take its own applet.
  exec /usr/bin/setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  method=\${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
  if [ -z "$POSTGRES_PASSWORD" ] && [ "$method" != trust ]; then
    echo 'Error: Database is uninitialized and superuser password is not specified.' >&2
    echo '       You must specify POSTGRES_PASSWORD to a non-empty value for the superuser.' >&2
    exit 1
  fi
  password_file=$(mktemp)
  printf '%s\\n' "\${POSTGRES_PASSWORD:-none}" >"$password_file"
  # shellcheck disable=SC2086
  initdb --username="$POSTGRES_USER" --pwfile="$password_file" \${POSTGRES_INITDB_ARGS:-}
  rm -f "$password_file"
  printf 'host all all all %s\\n' "$method" >>"$PGDATA/pg_hba.conf"
  pg_ctl -w -o "-c listen_addresses=''" start
  if [ "$POSTGRES_DB" != postgres ]; then
    echo 'CREATE DATABASE :"db" ;' | psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres -v db="$POSTGRES_DB"
  fi
  for script in /docker-entrypoint-initdb.d/*; do
    case $script in
      *.sh) . "$script" ;;
      *.sql) psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" -f "$script" ;;
    esac
  done
  pg_ctl -m fast -w stop
  echo 'PostgreSQL init process complete; ready for start up.'
fi
unset POSTGRES_PASSWORD
exec "$@"
`;

const passwd = `root:x:0:0:root:/root:/bin/sh
postgres:x:999:999:PostgreSQL:/var/lib/postgresql:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
`;

const version = 15;
const programs = `/usr/lib/postgresql/${version}/bin`;

/**
 * Debian's PostgreSQL 15 laid out like the official image: POSTGRES_DB, POSTGRES_USER, POSTGRES_PASSWORD and
 * POSTGRES_PASSWORD_FILE, data in the volume /var/lib/postgresql/data, port 5432, SIGINT to stop.
 */
export function postgresImage(): Promise<ImageFile> {
  return buildDebianImage({
    name: 'postgres',
    packages: [`postgresql-${version}`, 'util-linux', 'libc-bin', 'tzdata'],
    assumed: [
      ...['perl', 'libllvm14', 'libz3-4', 'locales', 'ssl-cert', 'postgresql-common', 'postgresql-client-common'],
      ...['adduser', 'debconf', 'usrmerge', 'dpkg', 'sensible-utils'],
    ],
    files: [
      ...['postgres', 'initdb', 'pg_ctl', 'psql', 'pg_isready', 'pg_dump', 'createdb', 'createuser'].map(
        (name) => `${programs}/${name}`,
      ),
      ...[`/usr/lib/postgresql/${version}/lib/*.so`, `/usr/share/postgresql/${version}`, '/usr/share/zoneinfo'],
      ...['/usr/lib/locale/C.utf8', '/usr/bin/setpriv'],
    ],
    except: ['*/llvmjit*', '*/bitcode/*', '*/man/*', '*/zoneinfo/right/*', '*/zoneinfo/posix/*'],
    texts: {
      'usr/local/bin/docker-entrypoint.sh': entrypoint,
      'etc/passwd': passwd,
      'etc/group': 'root:x:0:\npostgres:x:999:\nnogroup:x:65534:\n',
    },
    finish: `mkdir -p var/lib/postgresql/data run/postgresql docker-entrypoint-initdb.d
chown -R 999:999 var/lib/postgresql run/postgresql
rm -f bin/setpriv
sed -i "s/^#listen_addresses = .*/listen_addresses = '*'/" usr/share/postgresql/${version}/postgresql.conf.sample`,
    config: {
      Entrypoint: ['docker-entrypoint.sh'],
      Cmd: ['postgres'],
      Env: [`PATH=${programs}:${imagePath}`, 'PGDATA=/var/lib/postgresql/data', 'LANG=C.UTF-8'],
      Volumes: { '/var/lib/postgresql/data': {} },
      ExposedPorts: { '5432/tcp': {} },
      StopSignal: 'SIGINT',
    },
  });
}

/** Gives an engine a PostgreSQL image, `postgres:13` by default; resolves with its ID. */
export async function importPostgresImage(
  engine: EngineAddress,
  names: readonly string[] = ['postgres:13'],
): Promise<string> {
  return importImage(engine, await postgresImage(), names);
}
