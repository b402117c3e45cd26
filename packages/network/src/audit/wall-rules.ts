/** Whose words rules are in: `iptables -S` or `nft list`. */
export type RuleWords = 'iptables' | 'nft';

/**
 * Whether a chain drops what no rule accepts (`rest`: by its policy, or by a rule for all that is left), the port itself
 * (`port`), or nothing of it that could be told. Pure.
 */
export function dropsUnlessAccepted(chain: string, port: number, words: RuleWords): 'rest' | 'port' | 'no' {
  const lines = linesOf(chain);
  const dropsPort =
    words === 'nft'
      ? /^udp dport (\S+) (?:counter packets \d+ bytes \d+ )?(drop|reject.*)$/
      : /^-A INPUT -p udp .*--dport (\S+) -j (DROP|REJECT)/;
  if (lines.some((line) => dropsPort.exec(line)?.[1] === String(port))) return 'port';
  const dropsRest =
    words === 'nft'
      ? /(; policy drop;|^(counter packets \d+ bytes \d+ )?(drop|reject\b.*)$)/
      : /^-P INPUT DROP$|^-A INPUT -j (DROP|REJECT)/;
  return lines.some((line) => dropsRest.test(line)) ? 'rest' : 'no';
}

/** Whether a rule accepts UDP packets to the port, of some peers at least. Pure. */
export function acceptsUdp(rules: string, port: number, words: RuleWords): boolean {
  return linesOf(rules).some((line) => {
    if (words === 'iptables') {
      const [, ports = ''] = /-p udp .*--dports? (\S+).* -j ACCEPT/.exec(line) ?? [];
      return ports.split(',').some((range) => within(port, range, ':'));
    }
    const [, ports = ''] = /\b(?:udp|th) dport (\{[^}]*\}|\S+) .*\baccept\b/.exec(line) ?? [];
    return ports.split(/[{}, ]+/).some((range) => within(port, range, '-'));
  });
}

/**
 * Whether something else is accepted that may be peers' packets: by where they come from, by a set, by a chain of verdicts.
 * Rules for answers, for the host itself and for other protocols do not count, nor ours for `ownLink`. Pure.
 */
export function hasUncertainAccepts(rules: string, words: RuleWords, ownLink: string): boolean {
  const harmless =
    words === 'iptables'
      ? /--(ct)?state |-i lo |-p (tcp|icmp|ipv6-icmp|igmp) |--dports? /
      : /\bct state |\biif(name)? "lo"|\btcp |\bicmp|\bdport |\bl4proto (tcp|icmp|ipv6-icmp)\b/;
  const accepts = words === 'iptables' ? /^-A (?!DOCKER|FORWARD|OUTPUT).* ?-j ACCEPT/ : /\baccept\b(?!;)|\bvmap\b/;
  return linesOf(rules).some((line) => accepts.test(line) && !harmless.test(line) && !line.includes(ownLink));
}

function linesOf(rules: string): string[] {
  return rules.split('\n').map((line) => line.trim());
}

/** Whether a port is in what rules write of ports: `4789`, or two with a separator between. Pure. */
export function within(port: number, range: string, separator: string): boolean {
  const [first = '', last = first] = range.split(separator);
  return /^\d+$/.test(first) && Number(first) <= port && port <= Number(last);
}
