import type { JsonObject } from '#io/admin-client-http/admin-client.ts';
import { isUp, objectsOf, stateText, textOf } from './table.ts';

/** Which nodes that are up have no way to each other, and what is missing; empty when each has a way to each. */
export function missingWays(nodes: readonly JsonObject[], command: string): string {
  const up = nodes.filter(isUp);
  const pairs = pairsWithoutWay(up);
  const [first] = pairs;
  if (first === undefined) return '';
  const more = pairs.length === 1 ? '' : ` (nor ${pairs.length - 1} more ${pairs.length === 2 ? 'pair' : 'pairs'})`;
  return `${first.join(' and ')} have no way to each other${more}: ${reason(nodes, up, command)}`;
}

function pairsWithoutWay(up: readonly JsonObject[]): readonly (readonly [string, string])[] {
  const links = linksOf(up);
  const relays = new Set(up.filter((node) => node['relay'] === true).map((node) => textOf(node, 'name')));
  const islands = islandsOf(relays, links);
  const names = up.map((node) => textOf(node, 'name'));
  const around = new Map(names.map((name) => [name, islandsAround(name, links, islands)]));
  return names.flatMap((one, index) =>
    names.slice(index + 1).flatMap((other) => {
      const isLinked = links.get(one)?.has(other) === true;
      const shared = around.get(one)?.intersection(around.get(other) ?? new Set());
      return isLinked || (shared?.size ?? 0) > 0 ? [] : [[one, other] as const];
    }),
  );
}

type Links = ReadonlyMap<string, ReadonlySet<string>>;

/** A link that one of its ends shows is there. */
function linksOf(up: readonly JsonObject[]): Links {
  const links = new Map(up.map((node) => [textOf(node, 'name'), new Set<string>()]));
  for (const node of up) {
    for (const peer of objectsOf(node, 'peers').filter((each) => each['state'] === 'up')) {
      links.get(textOf(node, 'name'))?.add(textOf(peer, 'name'));
      links.get(textOf(peer, 'name'))?.add(textOf(node, 'name'));
    }
  }
  return links;
}

/** Relays that reach each other through relays only have the same number. */
function islandsOf(relays: ReadonlySet<string>, links: Links): ReadonlyMap<string, number> {
  const islands = new Map<string, number>();
  for (const start of relays) {
    const island = islands.get(start) ?? islands.size;
    const waiting = islands.has(start) ? [] : [start];
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      islands.set(name, island);
      for (const peer of links.get(name) ?? []) if (relays.has(peer) && !islands.has(peer)) waiting.push(peer);
    }
  }
  return islands;
}

function islandsAround(name: string, links: Links, islands: ReadonlyMap<string, number>): ReadonlySet<number> {
  return new Set([name, ...(links.get(name) ?? [])].flatMap((each) => islands.get(each) ?? []));
}

function reason(nodes: readonly JsonObject[], up: readonly JsonObject[], command: string): string {
  const relays = nodes.filter((node) => node['relay'] === true && stateText(node) !== 'revoked');
  const running = relays.filter((node) => up.includes(node));
  const down = relays.filter((node) => !up.includes(node));
  const drained = down.filter((node) => stateText(node) === 'drained');
  if (drained.length > 0)
    return `no relay that is up joins them; start again those that were drained: ${namesOf(drained)}`;
  const mute = running.find((node) => objectsOf(node, 'peers').length === 0 && !acceptsLinks(node));
  if (mute !== undefined)
    return `the relay ${textOf(mute, 'name')} accepts no links; start it with --link HOST:PORT, an address that they reach`;
  if (down.length > 0) {
    const what = running.length === 0 ? 'no relay is up' : 'not every relay is up';
    return `${what}; start ${namesOf(down)} again, or make another: ${recipe(command)}`;
  }
  if (running.length > 0)
    return `a relay must accept links (--link, --advertise) at an address that both reach; ${command} peers shows the links`;
  return `no relay is up; make one: ${recipe(command)}`;
}

function namesOf(nodes: readonly JsonObject[]): string {
  return nodes.map((node) => textOf(node, 'name')).join(', ');
}

function recipe(command: string): string {
  return `${command} token create --relay --node NAME, then ${command} node --join TOKEN --relay --link HOST:PORT where both reach it`;
}

function acceptsLinks(node: JsonObject): boolean {
  const { addresses } = node;
  return Array.isArray(addresses) && addresses.length > 0;
}
