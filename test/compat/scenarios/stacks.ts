import type { Scenario } from '../support/scenario.js';
import type { Files } from '../support/side.js';

const stack = `version: "3.8"
services:
  web:
    image: app:1
    deploy:
      replicas: 2
      labels: { tier: web }
      update_config: { parallelism: 2, delay: 1s, order: start-first, monitor: 500ms }
      restart_policy: { condition: on-failure, delay: 1s, max_attempts: 3, window: 30s }
      resources:
        limits: { cpus: "0.5", memory: 64M }
        reservations: { memory: 16M }
      placement:
        constraints: [node.hostname == h1]
    environment:
      A: "1"
      B:
    labels: [kind=container]
    stop_grace_period: 1s
    healthcheck: { test: ["CMD", "true"], interval: 5s }
    secrets: [password]
    configs:
      - source: settings
        target: /etc/settings
        mode: 0440
  cache:
    image: app:1
    command: sleep 86401
    hostname: cache
    depends_on: [web]
    volumes: [data:/data, /etc/hostname:/host:ro]
    deploy:
      mode: global
      placement:
        constraints: [node.role == worker]
secrets:
  password:
    file: ./password.txt
configs:
  settings:
    file: ./settings.txt
volumes:
  data:
`;

/** Files of the stacks, by name. */
export const stackFiles: Files = {
  'stack.yml': stack,
  'changed.yml': stack
    .replace('image: app:1', 'image: app:2')
    .replace('A: "1"', 'A: "2"')
    .replace(/ {2}cache:[\s\S]*?(?=^secrets:)/m, ''),
  'password.txt': 'swordfish',
  'settings.txt': 'level=high\n',
  'unknown-key.yml': 'version: "3.8"\nservices:\n  web:\n    image: app:1\n    nonsense: true\n',
  'no-image.yml': 'version: "3.8"\nservices:\n  web:\n    command: sleep 1\n',
  'no-services.yml': 'version: "3.8"\n',
  'unsupported.yml':
    'version: "3.8"\nservices:\n  web:\n    image: app:1\n    privileged: true\n    build: .\n    container_name: x\n    deploy: { replicas: 0 }\n',
  'no-secret.yml': 'version: "3.8"\nservices:\n  web:\n    image: app:1\n    secrets: [nothere]\n',
  'external.yml':
    'version: "3.8"\nservices:\n  web:\n    image: app:1\n    secrets: [nothere]\nsecrets:\n  nothere: { external: true }\n',
};

const specs = ['service', 'inspect', 'shop_web', '--format', '{{json .Spec}}'];
const replicas = ['stack', 'services', 'shop', '--format', '{{.Name}} {{.Mode}} {{.Replicas}} {{.Image}}'];

/** Stacks from Compose files. */
export const stacks: Scenario = {
  name: 'stacks',
  steps: [
    { run: 'stack ls' },
    { run: 'stack ps shop' },
    { run: 'stack services shop' },
    { run: 'stack rm shop' },
    { run: 'stack deploy -c nothere.yml shop' },
    { run: 'stack deploy -c unknown-key.yml shop' },
    { run: 'stack deploy -c no-image.yml shop' },
    { run: 'stack deploy -c no-services.yml shop' },
    { run: 'stack deploy -c no-secret.yml shop' },
    { run: 'stack deploy -c external.yml shop' },
    { run: ['stack', 'deploy', '-c', 'stack.yml', 'bad name'] },
    { run: 'stack deploy -c unsupported.yml small', anyOrder: true },
    { run: 'stack rm small' },
    { run: 'network ls --filter name=small -q', until: /^$/ },
    { run: 'stack deploy -c stack.yml shop', anyOrder: true },
    { run: replicas, until: /2\/2[\s\S]*2\/2/ },
    { run: replicas, until: /cache[\s\S]*2\/2/ },
    { run: 'stack ls' },
    { run: 'stack services shop' },
    { run: 'stack services shop --filter name=shop_web' },
    { run: 'stack services shop -q' },
    { run: 'stack ps shop', anyOrder: true },
    { run: ['stack', 'ps', 'shop', '--no-trunc', '--format', '{{.Name}} {{.Image}} {{.Node}}'], anyOrder: true },
    { run: specs },
    { run: ['service', 'inspect', 'shop_cache', '--format', '{{json .Spec}}'] },
    { run: 'secret inspect shop_password' },
    { run: 'config inspect shop_settings' },
    { run: ['network', 'ls', '--filter', 'name=shop', '--format', '{{.Name}} {{.Driver}} {{.Scope}}'] },
    { run: 'stack deploy -c stack.yml shop', anyOrder: true },
    { run: specs },
    { run: 'stack deploy --prune -c changed.yml shop', anyOrder: true },
    { run: ['service', 'inspect', 'shop_web', '--format', '{{.UpdateStatus.State}}'], until: /completed/ },
    { run: replicas, until: /2\/2/ },
    { run: specs },
    { run: 'stack rm shop', anyOrder: true },
    { run: 'stack ls' },
    { run: 'secret ls' },
    { run: ['network', 'ls', '--filter', 'name=shop', '-q'], until: /^$/ },
  ],
};
