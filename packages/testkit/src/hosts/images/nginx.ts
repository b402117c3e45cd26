import { imagePath } from './busybox.js';
import { buildDebianImage } from './debian.js';
import { type EngineAddress, type ImageFile, importImage } from './tar.js';

const nginxConf = `user nginx;
worker_processes auto;
error_log /dev/stderr notice;
pid /run/nginx.pid;
events { worker_connections 1024; }
http {
  include /etc/nginx/mime.types;
  default_type application/octet-stream;
  access_log /dev/stdout;
  sendfile on;
  keepalive_timeout 65;
  include /etc/nginx/conf.d/*.conf;
}
`;

const defaultConf = `server {
  listen 80;
  server_name localhost;
  location / { root /usr/share/nginx/html; index index.html; }
}
`;

const page = `<!DOCTYPE html>
<html><head><title>Welcome to nginx!</title></head>
<body><h1>Welcome to nginx!</h1></body></html>
`;

const passwd = `root:x:0:0:root:/root:/bin/sh
nginx:x:101:101:nginx:/nonexistent:/bin/false
nobody:x:65534:65534:nobody:/:/bin/false
`;

/** nginx laid out like the official image: same port, paths, page, logs on standard output, SIGQUIT to stop. */
export function nginxImage(): Promise<ImageFile> {
  return buildDebianImage({
    name: 'nginx',
    packages: ['nginx-light'],
    assumed: ['debconf', 'adduser', 'perl'],
    files: ['/usr/sbin/nginx', '/etc/nginx/mime.types'],
    texts: {
      'etc/nginx/nginx.conf': nginxConf,
      'etc/nginx/conf.d/default.conf': defaultConf,
      'usr/share/nginx/html/index.html': page,
      'etc/passwd': passwd,
      'etc/group': 'root:x:0:\nnginx:x:101:\nnogroup:x:65534:\n',
    },
    finish: 'mkdir -p var/log/nginx var/lib/nginx var/cache/nginx; chown -R 101:101 var/lib/nginx var/cache/nginx',
    config: {
      Cmd: ['nginx', '-g', 'daemon off;'],
      ExposedPorts: { '80/tcp': {} },
      StopSignal: 'SIGQUIT',
      Env: [`PATH=${imagePath}`],
    },
  });
}

/** Gives an engine an nginx image, `nginx:alpine` by default; resolves with its ID. */
export async function importNginxImage(
  engine: EngineAddress,
  names: readonly string[] = ['nginx:alpine'],
): Promise<string> {
  return importImage(engine, await nginxImage(), names);
}
