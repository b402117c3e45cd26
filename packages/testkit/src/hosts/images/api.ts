import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { busyboxRootVersion, fillBusyboxRoot, imagePath } from './busybox.js';
import { cachedTar, type EngineAddress, type ImageFile, importImage } from './tar.js';

/** Answers one connection: standard input and output are the socket. */
const answer = `#!/bin/sh
read -r method path rest
while read -r line && [ "$line" != "$(printf '\\r')" ]; do :; done
status='200 OK'
case $path in
  /) body="{\\"service\\":\\"myapi\\",\\"version\\":\\"$API_VERSION\\",\\"host\\":\\"$(hostname)\\"}" ;;
  /health) body='{"status":"ok"}' ;;
  /db)
    # postgresql://user:password@HOST:PORT/name
    address=\${DATABASE_URL##*@}
    address=\${address%%/*}
    port=\${address##*:}
    [ "$port" != "$address" ] || port=5432
    if timeout 2 nc -w 1 "\${address%%:*}" "$port" </dev/null >/dev/null 2>&1; then
      body='{"database":"reachable"}'
    else
      body='{"database":"unreachable"}'
      status='503 Service Unavailable'
    fi
    ;;
  *)
    body='{"error":"not found"}'
    status='404 Not Found'
    ;;
esac
printf 'HTTP/1.1 %s\\r\\nContent-Type: application/json\\r\\nContent-Length: %s\\r\\nConnection: close\\r\\n\\r\\n%s\\n' \\
  "$status" "$((\${#body} + 1))" "$body"
echo "$method $path $status" >&2
`;

/** PID 1 gets no signal that it does not ask for. */
const serve = `#!/bin/sh
trap 'kill "$server"; exit 0' TERM INT
nc -ll -p "\${PORT:-8080}" -e /usr/bin/api-answer &
server=$!
echo "myapi $API_VERSION listens on \${PORT:-8080}"
wait "$server"
`;

/**
 * A tiny HTTP API on port 8080 (or `PORT`), made of busybox: `/` says its version and host name, `/health` that it
 * lives, `/db` whether the server in DATABASE_URL takes connections.
 */
export async function apiImage(version = '1'): Promise<ImageFile> {
  const tarFile = await cachedTar('myapi', `${busyboxRootVersion} ${answer} ${serve}`, async (root) => {
    await fillBusyboxRoot(root);
    for (const [name, text] of Object.entries({ 'api-answer': answer, 'api-serve': serve })) {
      await writeFile(join(root, 'usr/bin', name), text);
      await chmod(join(root, 'usr/bin', name), 0o755);
    }
  });
  const env = [`PATH=${imagePath}`, `API_VERSION=${version}`];
  return { tarFile, config: { Cmd: ['api-serve'], ExposedPorts: { '8080/tcp': {} }, Env: env } };
}

/** Gives an engine the API's image, `myapi:latest` by default; resolves with its ID. */
export async function importApiImage(
  engine: EngineAddress,
  names: readonly string[] = ['myapi:latest'],
  version = '1',
): Promise<string> {
  return importImage(engine, await apiImage(version), names);
}
