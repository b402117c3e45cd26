import type { Scenario } from './scheduler-scenario.js';

/** One node as the oracle counts it. */
interface Counted {
  id: string;
  labels: Record<string, string>;
  usable: boolean;
  web: boolean;
  path: boolean;
  freeCpus: number;
  freeGib: number;
  portTaken: boolean;
  perService: number[];
  failures: number[];
}

/**
 * Where each pending task of a scenario must go, found the slow way: for every task, look at every node and follow the
 * rules word by word. Tasks that fit nowhere are left out.
 */
export function expectedPlacements(scenario: Scenario): Map<string, string> {
  const nodes = count(scenario);
  const placements = new Map<string, string>();
  for (const [i, service] of scenario.services.entries()) {
    for (let slot = 1; slot <= service.pending; slot++) {
      const chosen = choose(nodes, service.spreads, i, (node) => fits(node, scenario, i));
      if (chosen === undefined) break;
      take(chosen.node, scenario, i, true);
      placements.set(`s${i}.${slot}`, chosen.node.id);
    }
  }
  return placements;
}

function count(scenario: Scenario): Counted[] {
  const zeros = scenario.services.map(() => 0);
  const nodes = scenario.nodes.map(({ cpus, zone, rack, web, active, path = true }, i) => ({
    id: `n${i}`,
    labels: { rack, ...(zone === undefined ? {} : { zone }) },
    usable: active,
    web,
    path,
    freeCpus: cpus,
    freeGib: 8,
    portTaken: false,
    perService: [...zeros],
    failures: [...zeros],
  }));
  for (const { node, service, wanted } of scenario.held) take(nodes[node]!, scenario, service, wanted);
  for (const { node, service, count: n } of scenario.failures) nodes[node]!.failures[service]! += n;
  return nodes;
}

function take(node: Counted, scenario: Scenario, i: number, active: boolean): void {
  const { cpus, port } = scenario.services[i]!;
  node.freeCpus -= cpus;
  node.freeGib -= cpus === 0 ? 0 : 1;
  if (port) node.portTaken = true;
  if (active) node.perService[i]!++;
}

function fits(node: Counted, scenario: Scenario, i: number): boolean {
  const { cpus, web, maxReplicas, port, overlay = false } = scenario.services[i]!;
  if (!node.usable || (web && !node.web) || (port && node.portTaken) || (overlay && !node.path)) return false;
  if (maxReplicas > 0 && node.perService[i]! >= maxReplicas) return false;
  return cpus === 0 || (cpus <= node.freeCpus && node.freeGib >= 1);
}

/** How good a node is, lower first: failures if at least five, tasks of the service, all tasks. */
function rank(node: Counted, i: number): [number, number, number] {
  const failures = node.failures[i]! >= 5 ? node.failures[i]! : 0;
  return [failures, node.perService[i]!, node.perService.reduce((sum, n) => sum + n, 0)];
}

interface Choice {
  node: Counted;
  rank: [number, number, number];
}

function choose(
  nodes: readonly Counted[],
  spreads: readonly string[],
  i: number,
  usable: (node: Counted) => boolean,
): Choice | undefined {
  const [label, ...deeper] = spreads;
  if (label === undefined) {
    const choices = nodes.filter(usable).map((node) => ({ node, rank: rank(node, i) }));
    return choices.sort((a, b) => compare(a.rank, b.rank) || compare([a.node.id], [b.node.id]))[0];
  }
  const values = [...new Set(nodes.map((node) => node.labels[label] ?? ''))];
  const branches = values.flatMap((value) => {
    const inside = nodes.filter((node) => (node.labels[label] ?? '') === value);
    const choice = choose(inside, deeper, i, usable);
    const tasks = inside.reduce((sum, node) => sum + node.perService[i]!, 0);
    return choice === undefined ? [] : [{ value, tasks, choice }];
  });
  return branches.sort(
    (a, b) => a.tasks - b.tasks || compare(a.choice.rank, b.choice.rank) || compare([a.value], [b.value]),
  )[0]?.choice;
}

function compare<V extends number | string>(a: readonly V[], b: readonly V[]): number {
  for (const [i, value] of a.entries()) if (value !== b[i]) return value < b[i]! ? -1 : 1;
  return 0;
}
