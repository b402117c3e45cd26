import type { Scenario } from '../support/scenario.js';

/** A node that is in no cluster. */
export const noSwarm: Scenario = {
  name: 'no swarm yet',
  steps: [
    { run: 'node ls' },
    { run: 'service ls' },
    { run: 'service ps web' },
    { run: 'service create -d --name web app:1' },
    { run: 'secret ls' },
    { run: 'stack ls' },
    { run: 'stack deploy -c stack.yml shop' },
    { run: 'swarm join-token worker' },
    { run: 'swarm ca' },
    { run: 'swarm ca --cert-expiry 48h' },
    { run: 'swarm ca --rotate -q' },
    { run: ['node', 'ls', '--format', '{{.TLSStatus}}'], until: /Ready/ },
    { run: ['info', '--format', '{{.Swarm.Cluster.RootRotationInProgress}}'] },
    { run: 'swarm leave' },
    { run: 'swarm unlock-key' },
    { run: 'swarm update --task-history-limit 3' },
    { run: 'swarm join --token nonsense 198.18.0.11:2377' },
    { run: 'swarm init --advertise-addr nonsense' },
    { run: ['info', '--format', '{{json .Swarm}}'] },
    { call: 'GET /v1.41/swarm' },
  ],
};

/** A cluster of one. */
export const oneNode: Scenario = {
  name: 'one node',
  always: true,
  steps: [
    { run: 'swarm init --advertise-addr 198.18.0.11' },
    { run: 'swarm init --advertise-addr 198.18.0.11' },
    { run: 'swarm join --token nonsense 198.18.0.11:2377' },
    { run: 'swarm join-token worker' },
    { run: 'swarm join-token manager' },
    { run: 'swarm join-token nonsense' },
    { run: 'swarm join-token -q worker', keep: 'oldWorkerToken' },
    { run: 'swarm join-token --rotate worker' },
    { run: 'swarm join-token -q worker', keep: 'workerToken' },
    { run: 'swarm update --task-history-limit 3 --dispatcher-heartbeat 6s' },
    { call: 'GET /v1.41/swarm' },
    { run: 'swarm update --task-history-limit 5 --dispatcher-heartbeat 5s' },
    { run: 'swarm leave' },
    { run: 'swarm unlock-key' },
    { run: 'node ls', until: /Ready/ },
    { run: 'node demote self' },
    { run: 'node rm self' },
    { run: ['info', '--format', '{{json .Swarm}}'] },
    { run: 'service create -d --name one --replicas 2 app:1' },
    { run: ['service', 'ls', '--format', '{{.Name}} {{.Mode}} {{.Replicas}} {{.Image}}'], until: /2\/2/ },
    { run: 'service ps one' },
    { run: 'service rm one' },
  ],
};

/** Two workers come. */
export const joining: Scenario = {
  name: 'joining',
  always: true,
  steps: [
    { run: 'swarm join --token ${oldWorkerToken} 198.18.0.11:2377', host: 2 },
    { run: 'swarm join --token ${workerToken} 198.18.0.11:2377', host: 2 },
    { run: 'swarm join --token ${workerToken} --availability pause 198.18.0.11:2377', host: 3 },
    { run: 'swarm join --token ${workerToken} 198.18.0.11:2377', host: 3 },
    { run: 'swarm init', host: 3 },
    { run: 'node ls', until: /(Ready[\s\S]*){3}/ },
    { run: 'node update --availability active h3' },
    { run: 'node ls', host: 2 },
    { run: 'service ls', host: 2 },
    { run: 'secret ls', host: 2 },
    { run: 'swarm join-token worker', host: 2 },
    { run: ['info', '--format', '{{json .Swarm}}'], host: 2 },
  ],
};

/** Everybody goes. */
export const leaving: Scenario = {
  name: 'leaving',
  steps: [
    { run: 'swarm leave', host: 3 },
    { run: 'node ls', host: 3 },
    { run: 'node ls', until: /h3.*Down/ },
    { run: 'node rm h3' },
    { run: 'node ls' },
    { run: 'node rm h2' },
    { run: 'node rm --force h2' },
    { run: 'swarm leave --force' },
    { run: 'node ls' },
    { run: ['info', '--format', '{{json .Swarm}}'] },
  ],
};
