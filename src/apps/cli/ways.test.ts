import { expect, test } from 'vitest';
import type { JsonObject } from '#io/admin-client-http/admin-client.ts';
import { missingWays } from './ways.ts';

function node(name: string, peers: readonly string[], extra: JsonObject = {}): JsonObject {
  return { name, state: 'up', relay: false, peers: peers.map((peer) => ({ name: peer, state: 'up' })), ...extra };
}

function relay(name: string, peers: readonly string[], extra: JsonObject = {}): JsonObject {
  return node(name, peers, { relay: true, addresses: ['192.0.2.7:7101'], ...extra });
}

test.each([
  ['one node', [node('a', [])]],
  ['a link, that one of them shows', [node('a', ['b']), node('b', [])]],
  ['a relay between', [node('a', ['r']), relay('r', ['b']), node('b', [])]],
  ['two relays between', [node('a', ['r']), relay('r', []), relay('s', ['b', 'r']), node('b', [])]],
  ['one that is down', [node('a', []), node('b', [], { state: 'down' })]],
])('nothing is missing with %s', (_what, nodes) => {
  expect(missingWays(nodes, './x0')).toBe('');
});

test('without a relay the first line that makes one is said', () => {
  expect(missingWays([node('a', []), node('b', [])], './x0')).toMatch(
    /^a and b have no way to each other: no relay is up; make one: \.\/x0 token create --relay --node NAME, then \.\/x0 node --join TOKEN --relay --link HOST:PORT/,
  );
});

test('an end between two others carries nothing for them', () => {
  expect(missingWays([node('a', ['c']), node('b', ['c']), node('c', [])], './x0')).toMatch(/^a and b have no way/);
});

test('a relay that is down, or that accepts no links, is named', () => {
  const ends = [node('a', []), node('b', [])];
  expect(missingWays([...ends, relay('r', [], { state: 'down' })], 'x0')).toContain('start r again, or make another');
  expect(missingWays([...ends, relay('r', [], { addresses: [] })], 'x0')).toMatch(
    /^a and b have no way to each other \(nor 2 more pairs\): the relay r accepts no links; start it with --link/,
  );
});

test('two relays without a link part their ends', () => {
  const nodes = [node('a', ['r']), relay('r', []), node('b', ['s']), relay('s', [])];
  expect(missingWays(nodes, 'x0')).toMatch(/^a and b have no way .*--advertise/);
});

test('a single further pair is one pair', () => {
  const nodes = [node('a', ['b']), node('b', []), node('c', []), relay('r', [], { state: 'down' })];
  expect(missingWays(nodes, 'x0')).toMatch(/^a and c have no way to each other \(nor 1 more pair\): /);
});

test('relays that were drained are to be started again, also while others are up', () => {
  const drained = { state: 'down', drain: 'drained', addresses: [] };
  const nodes = [node('a', ['q']), relay('q', []), node('b', []), relay('r', [], drained), relay('s', [], drained)];
  expect(missingWays(nodes, 'x0')).toMatch(
    /: no relay that is up joins them; start again those that were drained: r, s$/,
  );
});

test('a relay that is down is named while others are up', () => {
  const nodes = [node('a', ['q']), relay('q', []), node('b', []), relay('r', [], { state: 'down' })];
  expect(missingWays(nodes, 'x0')).toMatch(/: not every relay is up; start r again, or make another: /);
});
